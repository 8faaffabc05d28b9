package tui

import (
	"errors"

	"github.com/sallyport-sip/sallyport/internal/callflow"
)

// parseFilter returns what tells the flows that fit a filter.
func parseFilter(text string) (func(*callflow.Flow) bool, error) {
	if text != "" {
		return nil, errors.New("this version lists all calls: it has no filters yet")
	}
	return func(*callflow.Flow) bool { return true }, nil
}

// CheckFilter says what is wrong with a filter.
func CheckFilter(text string) error {
	_, err := parseFilter(text)
	return err
}

// filterPlace is where in a filter an error is.
func filterPlace(error) int { return 0 }
