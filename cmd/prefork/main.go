// Command prefork is package cli with the built-in apps.
package main

import (
	"os"

	"prefork/cmd/cli"
)

func main() { os.Exit(cli.Main(nil)) }
