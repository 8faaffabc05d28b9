package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/sallyport-sip/sallyport/internal/api"
)

// withSecrets writes one flow as pcapng with what the gateway keeps of its connections (keep_keys of their peers). Only the gateway
// that runs has that, gives it to its own user alone, and notes it in the audit.
func (a *app) withSecrets(ctx context.Context, source flows, ids []string, out string) error {
	live, ok := source.(*liveFlows)
	if !ok || len(ids) != 1 {
		return usagef("--with-secrets is for one flow of a gateway that runs: name one by its id, without --file and --filter")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/api/v1/flows/"+url.PathEscape(ids[0])+"/export?format=pcapng&secrets=1", nil)
	if err != nil {
		return err
	}
	answer, err := api.Local(live.dir).Do(req)
	if err != nil {
		return fmt.Errorf("the gateway cannot be asked: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return fmt.Errorf("flow %s: %s", ids[0], text)
	}
	return a.writeOut(out, func(w io.Writer) error {
		_, err := io.Copy(w, answer.Body)
		return err
	})
}
