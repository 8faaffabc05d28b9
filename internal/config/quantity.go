package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// number is a scalar that the file may write as a number, without quotes.
type number interface {
	scalar
	number()
}

// Duration is a span of time: "30s", "1h30m", "90d"; 0 for none.
type Duration struct{ time.Duration }

func (*Duration) number() {}

func (d *Duration) set(text string) *fault {
	const forms = `write a number with its unit (ms, s, m, h or d), for instance "30s", "1h30m" or "90d"`
	if text == "0" {
		d.Duration = 0
		return nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return &fault{why: "it is no number of days from 0 to 65535", remedy: forms}
		}
		d.Duration = time.Duration(n) * 24 * time.Hour
		return nil
	}
	v, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return &fault{why: "it is no duration", remedy: forms}
	case v < 0:
		return &fault{why: "a duration is not negative", remedy: forms}
	case v > 0 && v < time.Millisecond:
		return &fault{why: "it is shorter than a millisecond", remedy: forms}
	}
	d.Duration = v
	return nil
}

// String renders it as the file has it.
func (d Duration) String() string {
	if d.Duration != 0 && d.Duration%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d.Duration/(24*time.Hour))
	}
	if d.Duration == 0 {
		return "0"
	}
	text := d.Duration.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Count is a whole number from 1 on; 0, which is not written, is no limit.
type Count int

func (*Count) number() {}

func (c *Count) set(text string) *fault {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return &fault{why: "it is no whole number from 1 to 2147483647", remedy: "write one, or leave the key out"}
	}
	*c = Count(n)
	return nil
}

// ByteSize is an amount of bytes: "512M", "20G".
type ByteSize int64

func (*ByteSize) number() {}

// sizeUnits are the units, the largest last.
var sizeUnits = []struct {
	letter string
	shift  int
}{{"k", 10}, {"M", 20}, {"G", 30}, {"T", 40}}

func (b *ByteSize) set(text string) *fault {
	digits, shift := text, 0
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.letter); ok {
			digits, shift = rest, u.shift
		}
	}
	n, err := strconv.ParseInt(digits, 10, 63-shift)
	if err != nil || n <= 0 {
		return &fault{why: "it is no size", remedy: `write a whole number of bytes, or one with k, M, G or T: "512M", "20G"`}
	}
	*b = ByteSize(n << shift)
	return nil
}

// String renders it as the file has it.
func (b ByteSize) String() string {
	for _, u := range slices.Backward(sizeUnits) {
		if b > 0 && b%(1<<u.shift) == 0 {
			return strconv.FormatInt(int64(b)>>u.shift, 10) + u.letter
		}
	}
	return strconv.FormatInt(int64(b), 10)
}
