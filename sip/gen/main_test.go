package main

import (
	"os"
	"strings"
	"testing"
)

// The page in the tree is what the table makes.
func TestPageIsUpToDate(t *testing.T) {
	have, err := os.ReadFile("../../docs/reference/headers.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(page()) {
		t.Error("docs/reference/headers.md is out of date: go generate ./sip")
	}
	for _, row := range []string{
		"| Via | `v` | list |  | `Via` | RFC 3261 §20.42 |", "| Subject | `s` | once | may be | `[]byte` | RFC 3261 §20.36 |",
		"| Authorization |  | many |  | `Auth` | RFC 3261 §20.7 |",
	} {
		if !strings.Contains(string(have), row) {
			t.Errorf("no row %s", row)
		}
	}
}
