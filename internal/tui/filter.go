package tui

import (
	"errors"
	"strings"
	"time"

	"github.com/sallyport-sip/sallyport/internal/filter"
)

// parseFilter reads the filter of a list.
func parseFilter(text string, now time.Time) (*filter.Filter, error) {
	return filter.Parse(text, filter.Options{Now: now, For: filter.Flows})
}

// CheckFilter says what is wrong with a filter, as a *filter.Error that names the place. Filters that a gateway has saved, such as
// @night, are known to it alone, so one of a running gateway's that uses any is left to it.
func CheckFilter(text string, live bool, now time.Time) error {
	if live && strings.Contains(text, "@") {
		return nil
	}
	_, err := parseFilter(text, now)
	return err
}

// filterPlace is where in a filter an error is, in characters from 0.
func filterPlace(err error) int {
	if wrong, ok := errors.AsType[*filter.Error](err); ok {
		return wrong.Column() - 1
	}
	return 0
}
