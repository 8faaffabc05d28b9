package tlswire

import (
	"bytes"
	"encoding/hex"
	"io"
	"sync"
)

// maxLives bounds how many connections one KeyRing knows, and maxNamesakes how
// many of them may have the same client random (both ends in one process, or a
// client that repeats itself).
const (
	maxLives     = 1 << 16
	maxNamesakes = 4
)

// KeyRing brings handshake secrets from crypto/tls to the Live parsers of the
// connections that they belong to. It is made for tls.Config.KeyLogWriter, one
// for each TLS policy, and its zero value is ready.
//
// crypto/tls writes the secrets of all connections, those of application data
// and TLS 1.2 master secrets too, one line each (RFC 9850) and under a lock that
// the whole process shares. So Write does no cryptography, calls nobody and
// waits for nothing but short locks: it finds the Live by client random and puts
// the two handshake traffic secrets into it. All other lines are dropped, and
// every line is overwritten with zeros before Write returns.
type KeyRing struct {
	// Tee, when set, gets every line as it is: a key log with which the
	// recorded traffic can be decrypted. Set it before the first use. It is
	// written to under the process-wide lock of crypto/tls.
	Tee io.Writer

	// Look, when set, is shown every line as it is, before it is overwritten. It must not wait, and must copy what it
	// keeps. Set it before the first use.
	Look func(line []byte)

	teeMu  sync.Mutex // guards teeErr and the order of lines in Tee
	teeErr error

	mu    sync.Mutex // guards what follows
	lives map[[32]byte][]*Live
	count int
}

// Write takes key-log lines, whole ones in each call. It never fails: a missing
// step in a ladder must not end a handshake. After an error of Tee nothing more
// is written to it; see TeeErr.
//
// deviates: io.Writer asks that line is left alone; here it is overwritten,
// because it holds secrets. crypto/tls makes a new one each time.
func (k *KeyRing) Write(line []byte) (int, error) {
	k.tee(line)
	if k.Look != nil {
		k.Look(line)
	}
	for rest := line; len(rest) > 0; {
		var one []byte
		one, rest, _ = bytes.Cut(rest, []byte("\n"))
		k.take(one)
	}
	clear(line)
	return len(line), nil
}

// TeeErr returns the error that ended the writing to Tee, or nil.
func (k *KeyRing) TeeErr() error {
	k.teeMu.Lock()
	defer k.teeMu.Unlock()
	return k.teeErr
}

func (k *KeyRing) tee(line []byte) {
	if k.Tee == nil {
		return
	}
	k.teeMu.Lock()
	defer k.teeMu.Unlock()
	if k.teeErr == nil {
		_, k.teeErr = k.Tee.Write(line)
	}
}

// take hands one line to the connections it belongs to.
func (k *KeyRing) take(line []byte) {
	label, rest, _ := bytes.Cut(line, []byte(" "))
	from, ok := handshakeLabel(label)
	if !ok {
		return
	}
	name, value, ok := bytes.Cut(rest, []byte(" "))
	var random [32]byte
	var secret [maxSecret]byte
	defer clear(secret[:])
	value = bytes.TrimRight(value, "\r ")
	if !ok || len(name) != hex.EncodedLen(len(random)) || len(value) > hex.EncodedLen(len(secret)) {
		return
	}
	if _, err := hex.Decode(random[:], name); err != nil {
		return
	}
	n, err := hex.Decode(secret[:], value)
	if err != nil {
		return
	}
	for _, l := range k.find(random) {
		l.putSecret(from, secret[:n])
	}
}

// handshakeLabel returns whose handshake secret a label names, if it does.
func handshakeLabel(label []byte) (Side, bool) {
	switch string(label) {
	case LabelClientHandshake:
		return Client, true
	case LabelServerHandshake:
		return Server, true
	}
	return 0, false
}

func (k *KeyRing) find(random [32]byte) []*Live {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lives[random] // never changed in place
}

// add makes a connection known; above the bounds it is left out, and what is
// encrypted in its handshake stays unread.
func (k *KeyRing) add(random [32]byte, l *Live) {
	k.mu.Lock()
	defer k.mu.Unlock()
	same := k.lives[random]
	if k.count >= maxLives || len(same) >= maxNamesakes {
		return
	}
	if k.lives == nil {
		k.lives = make(map[[32]byte][]*Live)
	}
	k.lives[random] = append(same[:len(same):len(same)], l)
	k.count++
}

// remove forgets a connection; it may not be there.
func (k *KeyRing) remove(random [32]byte, l *Live) {
	k.mu.Lock()
	defer k.mu.Unlock()
	same := k.lives[random]
	var others []*Live
	for _, o := range same {
		if o != l {
			others = append(others, o)
		}
	}
	k.count -= len(same) - len(others)
	if len(others) == 0 {
		delete(k.lives, random)
	} else {
		k.lives[random] = others
	}
}

// size returns how many connections are known.
func (k *KeyRing) size() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.count
}
