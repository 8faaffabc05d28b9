package trust

import (
	"bytes"
	"fmt"

	"github.com/sallyport-sip/sallyport/internal/config"
)

// maxPassword bounds a password, in bytes.
const maxPassword = 1024

// ReadPassword returns the first line of a file, which is a password. The error names the file, what is wrong with it
// and a remedy, and never what it holds.
func ReadPassword(path string) ([]byte, error) {
	password, bad := readPassword(path)
	if bad != nil {
		return nil, bad.in(path)
	}
	return password, nil
}

func readPassword(path string) ([]byte, *fault) {
	data, bad := readFile(path)
	if bad != nil {
		return nil, &fault{bad.what, bad.why, "name an ordinary file whose first line is the password"}
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // the mark of Windows' editors, which nobody sees
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	switch {
	case len(line) == 0:
		return nil, &fault{"its first line is empty", "", "write the password there"}
	case len(line) > maxPassword:
		return nil, &fault{fmt.Sprintf("its first line has more than %d bytes", maxPassword), "that is no password", "name the file whose first line is the password"}
	case bytes.HasPrefix(line, []byte("-----BEGIN ")):
		return nil, &fault{"it is a PEM file", "", "name the file whose first line is the password"}
	}
	return line, nil
}

// password returns that of an identity, nil when it has none, or the key of the configuration that is at fault.
func (o Options) password(in *config.Identity) ([]byte, string, *fault) {
	if in.PasswordFile != "" {
		password, bad := readPassword(in.PasswordFile)
		if bad != nil {
			bad = &fault{fmt.Sprintf("%q: %s", in.PasswordFile, bad.what), bad.why, bad.remedy}
		}
		return password, "password_file", bad
	}
	if in.PasswordEnv == "" {
		return nil, "", nil
	}
	if o.Getenv != nil {
		if password := o.Getenv(in.PasswordEnv); password != "" {
			return []byte(password), "password_env", nil
		}
	}
	return nil, "password_env", &fault{"the environment variable " + in.PasswordEnv + " is empty or not set", "",
		"set it where the gateway is started, for instance with EnvironmentFile= of systemd, or use password_file"}
}
