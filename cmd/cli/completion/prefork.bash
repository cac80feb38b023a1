# Completion of prefork for bash. In ~/.bashrc:
#
#   source <(prefork completion bash)
#
# or, for everybody: prefork completion bash > /usr/share/bash-completion/completions/prefork

_prefork() {
	local word line words=()
	# Bash breaks --flag=value at the "=": it is then the same as --flag value.
	for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
		[[ $word == "=" ]] || words+=("$word")
	done
	[[ ${COMP_WORDS[COMP_CWORD]} != "=" ]] || words+=("")
	COMPREPLY=()
	# What was typed is passed on as it is, never evaluated.
	while IFS= read -r line; do
		if [[ $line == /files ]]; then
			compopt -o default # bash's own, which knows ~, quotes and folders
		else
			COMPREPLY+=("${line%%$'\t'*}")
		fi
	done < <("${1/#\~/$HOME}" complete-words "${words[@]}" 2>/dev/null)
}

complete -F _prefork prefork
