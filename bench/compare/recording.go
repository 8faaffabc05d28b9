//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// What recording costs is a comparison of three gateways: "unrecorded" is built with the tag of that name and keeps nothing of
// messages and calls, "sallyport" records as it always does, and "watched" is that with one reader of the live feed who has the list
// and one ladder open, as the page and the terminal do.

func unrecordedCommand(o options, dir, transport string) ([]string, error) {
	o.sallyport = o.unrecorded
	return sallyportCommand(o, dir, transport)
}

func unrecordedVersion(o options) string {
	return "the same gateway, built so that it records nothing of messages and calls"
}

func watchedVersion(options) string {
	return "sallyport with the list and one ladder open in a reader of the live feed"
}

// A viewer reads the live feed of a gateway.
type viewer struct {
	events int
	err    error
	stop   context.CancelFunc
	done   chan struct{}
}

// view opens the first ladder that there is and follows it, and the list, until leave.
func view(ctx context.Context, o options) *viewer {
	ctx, stop := context.WithCancel(ctx)
	v := &viewer{stop: stop, done: make(chan struct{})}
	go func() {
		defer close(v.done)
		v.err = v.follow(ctx, fmt.Sprintf("http://127.0.0.1:%d/api/v1/", o.basePort+90))
	}()
	return v
}

func (v *viewer) follow(ctx context.Context, api string) error {
	id, err := aFlow(ctx, api)
	if err != nil {
		return err
	}
	res, err := get(ctx, api+"stream?flow="+url.QueryEscape(id))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			v.events++
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(lines.Err(), errors.New("the feed has ended"))
}

// aFlow waits for the first flow.
func aFlow(ctx context.Context, api string) (string, error) {
	for {
		var doc struct{ Flows []struct{ ID string } }
		res, err := get(ctx, api+"flows?limit=1")
		if err == nil {
			err = json.NewDecoder(res.Body).Decode(&doc)
			res.Body.Close()
		}
		if err != nil {
			return "", err
		}
		if len(doc.Flows) > 0 {
			return doc.Flows[0].ID, nil
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func get(ctx context.Context, at string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err == nil && res.StatusCode != http.StatusOK {
		res.Body.Close()
		err = fmt.Errorf("%s: %s", at, res.Status)
	}
	return res, err
}

// leave ends the reading. A viewer who saw nothing has measured nothing.
func (v *viewer) leave() error {
	v.stop()
	<-v.done
	if v.err == nil && v.events == 0 {
		v.err = errors.New("nothing came")
	}
	if v.err != nil {
		return fmt.Errorf("reader of the live feed: %w", v.err)
	}
	return nil
}
