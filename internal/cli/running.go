package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/api"
	"github.com/sallyport-sip/sallyport/internal/config"
)

// running says which running gateway a command is for.
type running struct{ file, data *string }

// runningFlags gives c the flags by which it finds a running gateway.
func runningFlags(c *cobra.Command) running {
	return running{configFlag(c), c.Flags().String("data", "", "`DIR`: the data directory of the gateway, if the file names another one since it started")}
}

// ask puts a request to the running gateway and reads its answer into doc. It
// returns the name of the configuration.
func (a *app) ask(c *cobra.Command, r running, method, path string, doc any) (file string, err error) {
	if file, err = a.configFile(*r.file); err != nil {
		return "", err
	}
	cfg, problems := config.Load(file)
	dir := cmp.Or(*r.data, cfg.Data)
	err = exchange(c.Context(), dir, method, path, nil, doc)
	switch {
	case errors.Is(err, api.ErrNotRunning) && len(problems) > 0:
		return "", a.report(problems) // and so the directory may be the wrong one
	case errors.Is(err, api.ErrNotRunning):
		return "", notRunning{fmt.Sprintf("no gateway runs with %s: nobody answers in its data directory, %s\nstart it: %s serve --config %s", file, dir, program(), file)}
	case err != nil:
		return "", err
	}
	return file, nil
}

// errNotFound is the answer of a gateway that does not have what was asked for.
var errNotFound = errors.New("there is no such thing")

// exchange puts a request, with a document unless that is nil, to the gateway that
// runs with a data directory, and reads its answer into doc. The error wraps
// api.ErrNotRunning when there is none.
func exchange(ctx context.Context, dir, method, path string, document, doc any) error {
	var body io.Reader
	if document != nil {
		b, err := json.Marshal(document)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	answer, err := api.Local(dir).Do(req)
	if err != nil {
		return fmt.Errorf("the gateway cannot be asked: %w", err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Type") != "application/json" {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		if answer.StatusCode == http.StatusNotFound {
			return fmt.Errorf("%w: %s", errNotFound, text)
		}
		return fmt.Errorf("the gateway answers %s: %s", answer.Status, text)
	}
	if err := json.NewDecoder(answer.Body).Decode(doc); err != nil {
		return fmt.Errorf("the answer of the gateway cannot be read: %w", err)
	}
	return nil
}

// notRunning is the error of ask when no gateway runs with the configuration.
type notRunning struct{ text string }

func (e notRunning) Error() string { return e.text }
