// Command sallyport is a secure SIP gateway: see "sallyport help" and the package internal/cli.
package main

import (
	"os"

	"github.com/sallyport-sip/sallyport/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
