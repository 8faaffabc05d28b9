package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/sallyport-sip/sallyport/internal/config"
)

func TestPageOfLimitsIsUpToDate(t *testing.T) {
	want, err := os.ReadFile("../../../docs/reference/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(renderLimits(), bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Error("docs/reference/limits.md differs from internal/config: run go generate ./internal/config")
	}
	for _, r := range append(config.ListenerLimitRows(), config.TotalLimitRows()...) {
		if r.Passing == "" || r.Default == "" {
			t.Errorf("%s: the page says nothing about it", r.Key)
		}
	}
}
