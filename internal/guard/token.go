package guard

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// Token is the secret that every request to the API must bring. It is kept as a
// hash, so that it is in no log and no dump. The zero Token matches nothing.
type Token struct {
	sum [sha256.Size]byte
	set bool
}

const (
	minToken = 16   // characters
	maxToken = 4096 // bytes of the file
)

// A TokenError says what is wrong with the file of a token, why that matters,
// and what to do. Why may be empty.
type TokenError struct{ What, Why, Remedy string }

func (e *TokenError) Error() string {
	return strings.Join([]string{e.What, e.Why, e.Remedy}, ", ")
}

const newToken = "write a new one: openssl rand -hex 32"

// ReadToken reads a token from a file: one line, at least 16 characters, that
// other users of the machine cannot read. White space around it is no part of
// it. The error is always a *TokenError.
func ReadToken(path string) (Token, error) {
	token, err := ReadSecret(path)
	if err != nil {
		return Token{}, err
	}
	return Token{sha256.Sum256(token), true}, nil
}

// ReadSecret reads a secret of the same kind that is needed as it is, to sign something with it.
func ReadSecret(path string) ([]byte, error) {
	info, err := os.Stat(path) // before it is opened: that would wait for the other end of a pipe
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, &TokenError{"it is no ordinary file", "", "name a file with the token"}
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 && runtime.GOOS != "windows" {
		return nil, &TokenError{fmt.Sprintf("every user of the machine may open it (mode %04o)", mode),
			"whoever has it is taken for you", "take that away: chmod o= " + path}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return parseToken(text)
}

func parseToken(text []byte) ([]byte, error) {
	token := bytes.TrimSpace(text)
	switch {
	case len(text) > maxToken:
		return nil, &TokenError{fmt.Sprintf("it is longer than %d bytes", maxToken), "", newToken}
	case len(token) == 0:
		return nil, &TokenError{"it is empty", "", newToken}
	case len(token) < minToken:
		return nil, &TokenError{fmt.Sprintf("the token has fewer than %d characters", minToken), "it could be guessed", newToken}
	case bytes.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, &TokenError{"the token has characters that a header cannot carry", "it is one line of printable ASCII without spaces", newToken}
	}
	return token, nil
}

func unreadable(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &TokenError{"there is no such file", "", newToken}
	case errors.Is(err, fs.ErrPermission):
		return &TokenError{"the file may not be read", "the permissions forbid it", "let the user that runs the gateway read it"}
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err
	}
	return &TokenError{"the file cannot be read", err.Error(), "name a readable file"}
}

// Matches says whether this is the token, in a time that does not depend on how
// much of it is right.
func (t Token) Matches(given string) bool {
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1 && t.set
}
