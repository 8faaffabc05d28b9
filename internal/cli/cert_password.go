package cli

import (
	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/trust"
)

// password says where a password is: in a file or in the environment. It is never an argument, which every user of the
// machine could read.
type password struct {
	prefix    string // of the names of the flags
	file, env string
}

// flags gives c the two flags. The prefix is "" for what is read and "new-" for what is written.
func (p *password) flags(c *cobra.Command, prefix, of string) {
	p.prefix = prefix
	c.Flags().StringVar(&p.file, prefix+"password-file", "", "`FILE`: its first line is the password of "+of)
	c.Flags().StringVar(&p.env, prefix+"password-env", "", "`NAME`: environment variable with the password of "+of)
}

// args are the flags, with their blank, that name the same password to a command that reads what was written.
func (p *password) args() string {
	switch {
	case p.file != "":
		return " --password-file " + p.file
	case p.env != "":
		return " --password-env " + p.env
	}
	return ""
}

// read returns the password, nil when there is none.
func (p *password) read(a *app) ([]byte, error) {
	switch {
	case p.file != "" && p.env != "":
		return nil, usagef("--%[1]spassword-file and --%[1]spassword-env are one too many: name one of them", p.prefix)
	case p.file != "":
		return trust.ReadPassword(p.file)
	case p.env != "":
		secret := a.getenv(p.env)
		if secret == "" {
			return nil, usagef("--%spassword-env: there is no environment variable of that name, or it is empty", p.prefix)
		}
		return []byte(secret), nil
	}
	return nil, nil
}
