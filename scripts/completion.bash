# Completes make in a lab's directory: its targets, their variables, and the names that a variable takes.
#
#     source scripts/completion.bash       in ~/.bashrc; in ~/.zshrc too
#
# Elsewhere make is completed as before. Written for bash 3.2, which macOS has.

if [ -n "${ZSH_VERSION-}" ]; then
    type compdef >/dev/null 2>&1 || { autoload -U +X compinit && compinit; }
    autoload -U +X bashcompinit && bashcompinit
fi

_ec2_lab_stems() {  # experiments/foo.toml -> foo
    local file
    for file in "$1"/*.toml; do
        [ -e "$file" ] || continue
        file=${file##*/}
        printf '%s\n' "${file%.toml}"
    done
}

_ec2_lab_values() {
    case $1 in
        EXP|FROM|AS) _ec2_lab_stems experiments ;;
        HOST) _ec2_lab_stems experiments; ls .ssh/hosts 2>/dev/null ;;
        SCRIPT) grep -ho 'PluginScript("[^"]*"' plugins/*.py 2>/dev/null | cut -d'"' -f2 ;;
        NAME|MEMBER) _ec2_lab_stems members ;;
        DATASET) sed -n 's/^ *dataset *= *"\([^"]*\)".*/\1/p' experiments/*.toml 2>/dev/null ;;
        REGIONS) sed -n '/^regions/,/\]/p' lab.toml | grep -o '"[^"]*"' | tr -d '"' ;;
        BY) printf '%s\n' member experiment region kind ;;
        COUNT|MIN_COUNT|KEEP|VERSION) ;;
        YES|FIX|CHECK|PURGE|ADOPT|FAILED|JSON|DEBUG) echo 1 ;;
        KEY|OUT) compgen -f -- "$2" ;;
    esac
}

_ec2_lab() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]-} name=
    if ! grep -qs 'front door of ec2-lab' Makefile; then
        COMPREPLY=($(compgen -f -- "$word"))
        return
    fi
    # "EXP=fo" is one word or three, as COMP_WORDBREAKS has it.
    case $word in
        =) name=$before word= ;;
        *=*) name=${word%%=*} word=${word#*=} ;;
        *) [ "$before" = "=" ] && name=${COMP_WORDS[COMP_CWORD - 2]} ;;
    esac
    if [ -n "$name" ]; then
        COMPREPLY=($(compgen -W "$(_ec2_lab_values "$name" "$word")" -- "$word"))
        case ${COMP_WORDS[COMP_CWORD]} in ?*=*) COMPREPLY=("${COMPREPLY[@]/#/$name=}") ;; esac
        return
    fi
    COMPREPLY=($(compgen -W "$(sed -n 's/^\([a-z][a-z-]*\):.*## .*/\1/p' Makefile)" -- "$word"))
    if [ "$COMP_CWORD" -gt 1 ]; then
        compopt -o nospace 2>/dev/null  # bash 3.2 has none
        COMPREPLY+=($(compgen -S = -W "$(sed -n 's/^VARIABLES := //p' Makefile)" -- "$word"))
    fi
}

complete -F _ec2_lab make
