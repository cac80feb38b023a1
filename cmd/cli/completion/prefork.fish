# Completion of prefork for fish. In ~/.config/fish/config.fish:
#
#   prefork completion fish | source
#
# or as a file: prefork completion fish > ~/.config/fish/completions/prefork.fish

function __prefork_complete
	set -l words (commandline -opc)
	set -l word (commandline -ct)
	test -n "$word"; or set word ''
	set -l lines (command $words[1] complete-words $words[2..-1] $word 2>/dev/null)
	if test "$lines[1]" != /files
		string join -- \n $lines
		return
	end
	# Of --flag=path only the path is a file.
	set -l flag (string match -r -- '^--[^=]*=' $word)
	string join -- \n "$flag"(__fish_complete_path (string replace -- "$flag" '' $word))
end

complete -c prefork -f -a '(__prefork_complete)'
