package ship

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/sallyport-sip/sallyport/internal/events"
)

// HeaderBatch names a batch, so that the receiver knows one that comes again.
const HeaderBatch = "Sallyport-Batch"

// poster sends batches over HTTP.
type poster struct {
	t      Target
	o      Options
	client *http.Client
}

func newPoster(t Target, o Options) *poster {
	return &poster{t, o, events.NewClient(t.URL, t.Roots, 1, o.Dial)}
}

func (p *poster) close() { p.client.CloseIdleConnections() }

func (p *poster) send(ctx context.Context, lines []byte, last uint64) error {
	ctx, cancel := context.WithTimeout(ctx, p.t.Timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.t.URL, bytes.NewReader(lines))
	if err != nil {
		return events.Plainly(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("User-Agent", "sallyport/"+p.o.Version)
	r.Header.Set(HeaderBatch, strconv.FormatUint(last, 10))
	r.Header.Set(events.HeaderSignature, events.Sign(p.t.Secret, time.Now(), lines))
	answer, err := p.client.Do(r)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v", p.t.Timeout)
	}
	if err != nil {
		return events.Plainly(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 4<<10))
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	return nil
}
