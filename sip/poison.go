//go:build !race

package sip

const poison = false
