package config

import _ "embed"

// Example is a whole, commented configuration file. It loads without problems;
// the PEM files that it names are for the reader to make.
//
//go:embed example.yaml
var Example string
