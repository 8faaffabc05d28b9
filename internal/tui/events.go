package tui

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// An event is one of a stream of server-sent events (HTML, section 9.2).
type event struct {
	name, id string
	data     []byte
}

const (
	// mostEvent bounds one event, in bytes.
	mostEvent = 64 << 20
	// longestSilence is how long a stream may say nothing. The gateway says something every second.
	longestSilence = 45 * time.Second
)

var (
	errSilence = errors.New("the gateway has said nothing for 45 s")
	errEnded   = errors.New("the gateway has ended the stream")
)

// events reads a stream and gives each event to take, until it ends or take returns an error. alive is called for each line.
func events(r io.Reader, alive func(), take func(event) error) error {
	lines := bufio.NewReader(r)
	var e event
	for {
		line, err := readLine(lines, mostEvent-len(e.data))
		if errors.Is(err, io.EOF) {
			return errEnded
		}
		if err != nil {
			return err
		}
		alive()
		if len(line) == 0 {
			if e.name != "" || e.data != nil {
				if err := take(e); err != nil {
					return err
				}
			}
			e = event{}
			continue
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			e.name = string(value)
		case "id":
			e.id = string(value)
		case "data":
			if e.data != nil {
				e.data = append(e.data, '\n')
			}
			e.data = append(e.data, value...)
		}
	}
}

// readLine reads a line of at most so many bytes, without its end.
func readLine(r *bufio.Reader, most int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > most:
			return nil, fmt.Errorf("an event of the gateway has more than %d MiB", mostEvent>>20)
		case err == nil:
			return bytes.TrimRight(line, "\r\n"), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
