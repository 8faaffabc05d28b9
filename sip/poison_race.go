//go:build race

package sip

// poison makes Release overwrite the buffer, so that the race detector's runs
// show every slice that outlived its message.
const poison = true
