package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestReferencePageIsUpToDate(t *testing.T) {
	got, err := render("..")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../../docs/reference/config.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Error("docs/reference/config.md differs from the comments in internal/config: run go generate ./internal/config")
	}
}

func TestPageNamesEveryKey(t *testing.T) {
	page, err := render("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"## listeners\n", "### `listeners.NAME.client_certificates`\n\n*one of required, optional, none*", "### `routes[].number`",
		"### `defaults.identity`", "### `trust.NAME.system`\n\n*true or false*", "## data\n\n*directory name*",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}
