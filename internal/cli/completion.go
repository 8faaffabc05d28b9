package cli

import (
	"github.com/spf13/cobra"

	"github.com/sallyport-sip/sallyport/internal/config"
)

func completion(a *app) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	c := &cobra.Command{
		Use:   "completion bash|zsh|fish|powershell",
		Short: "Print a script that completes sallyport's commands in a shell",
		Long: "Completion prints a script. Loaded by the shell, it completes sallyport's\n" +
			"commands and flags with the Tab key.",
		Example: "  source <(sallyport completion bash)\n" +
			"  sallyport completion zsh > \"${fpath[1]}/_sallyport\"\n" +
			"  sallyport completion fish > ~/.config/fish/completions/sallyport.fish\n" +
			"  sallyport completion powershell | Out-String | Invoke-Expression",
		ValidArgs: shells,
	}
	exits(c, "the script was printed", "")
	c.Args = func(c *cobra.Command, given []string) error {
		if len(given) != 1 {
			return usagef("completion needs one shell: bash, zsh, fish or powershell")
		}
		return nil
	}
	c.RunE = func(c *cobra.Command, given []string) error {
		root := c.Root()
		switch given[0] {
		case "bash":
			return root.GenBashCompletionV2(a.stdout, true)
		case "zsh":
			return root.GenZshCompletion(a.stdout)
		case "fish":
			return root.GenFishCompletion(a.stdout, true)
		case "powershell":
			return root.GenPowerShellCompletionWithDesc(a.stdout)
		}
		if near, ok := config.Nearest(given[0], shells); ok {
			return usagef("no completion for %q (did you mean %q?)", given[0], near)
		}
		return usagef("no completion for %q: the shells are bash, zsh, fish and powershell", given[0])
	}
	return c
}
