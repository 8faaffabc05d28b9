package config

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"version", "serve", "check", "cert"}
	for word, want := range map[string]string{
		"vresion": "version", "serv": "serve", "ceck": "check", "crt": "cert", "VERSION": "version", "vers": "version",
		"x": "", "database": "", "": "",
	} {
		if got, ok := Nearest(word, words); got != want || ok != (want != "") {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
