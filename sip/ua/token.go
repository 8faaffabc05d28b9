package ua

import (
	crand "crypto/rand"
	"encoding/hex"
	"math/rand/v2"
)

// tokens draws branches, tags and Call-IDs for one shard from a generator with
// a seed of the system's, so that nobody outside can foresee them
// (RFC 3261 §19.3 asks for 32 bits of randomness; these have 64 and more).
type tokens struct {
	rng *rand.ChaCha8
}

func newTokens() tokens {
	var seed [32]byte
	crand.Read(seed[:])
	return tokens{rand.NewChaCha8(seed)}
}

// appendHex appends n random bytes, 8 at the most, as hexadecimal digits.
func (t tokens) appendHex(dst []byte, n int) []byte {
	v := t.rng.Uint64()
	var b [8]byte
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
	return hex.AppendEncode(dst, b[:n])
}

// branchPrefix begins every branch of ours: the cookie of RFC 3261 §8.1.1.7,
// two letters to know them by, and then two digits for the shard.
const branchPrefix = "z9hG4bKsp"

// branch draws a branch that carries the shard's number, so that a response
// finds its shard though a box on the way rewrote the Call-ID.
func (t tokens) branch(shard int) []byte {
	b := make([]byte, 0, len(branchPrefix)+2+16)
	b = append(b, branchPrefix...)
	b = hex.AppendEncode(b, []byte{byte(shard)})
	return t.appendHex(b, 8)
}

// OwnBranch says whether a branch is written as a Server's own are.
func OwnBranch(branch []byte) bool {
	return branchShard(branch) >= 0 && len(branch) == len(branchPrefix)+2+16
}

// branchShard returns the shard that drew the branch, or -1.
func branchShard(branch []byte) int {
	if len(branch) < len(branchPrefix)+2 || string(branch[:len(branchPrefix)]) != branchPrefix {
		return -1
	}
	var n [1]byte
	if _, err := hex.Decode(n[:], branch[len(branchPrefix):len(branchPrefix)+2]); err != nil {
		return -1
	}
	return int(n[0])
}
