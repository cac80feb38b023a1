#compdef prefork
# Completion of prefork for zsh. In ~/.zshrc, after compinit:
#
#   source <(prefork completion zsh)
#
# or as a file in a folder of $fpath: prefork completion zsh > _prefork

_prefork() {
	local -a lines list
	local line
	lines=("${(@f)$("${(Q)words[1]/#\~/$HOME}" complete-words "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
	if [[ $lines[1] == /files ]]; then
		compset -P '--[^=]#=' # of --flag=path only the path is a file
		_files
		return
	fi
	for line in $lines; do # _describe wants WORD:DESCRIPTION, with the colons of WORD escaped
		list+=("${${line%%$'\t'*}//:/\\:}${${line#${line%%$'\t'*}}/$'\t'/:}")
	done
	(($#list == 0)) || _describe prefork list
}

# Called from $fpath it has to do its work; sourced it only makes itself known.
if [[ $funcstack[1] == _prefork ]]; then
	_prefork "$@"
else
	compdef _prefork prefork
fi
