package main

import "os"

func main() {
	os.Exit(run(os.Args, environment{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}))
}
