# Completes make in a lab's directory: its targets, their variables, and the names that a variable takes.
#
#     source scripts/completion.bash       in ~/.bashrc; in ~/.zshrc too
#
# Elsewhere make is completed as before. Written for bash 3.2, which macOS has.
#
# A lab is other people's files: names and contents are compared as text, never expanded (`compgen -W` would run a
# `$(command)` in them), and what is no name of the lab is not offered, for it would be run on Enter.

if [ -n "${ZSH_VERSION-}" ]; then
    type compdef >/dev/null 2>&1 || { autoload -U +X compinit && compinit; }
    autoload -U +X bashcompinit && bashcompinit
fi

_ec2_lab_files() {  # experiments .toml: foo, where there is experiments/foo.toml
    local file
    for file in "$1"/*"$2"; do
        file=${file##*/}
        case $file in *$'\n'*) ;; *) printf '%s\n' "${file%"$2"}" ;; esac
    done
}

_ec2_lab_values() {
    case $1 in
        EXP|BASE|NEW_EXP) _ec2_lab_files experiments .toml ;;
        HOST) _ec2_lab_files experiments .toml; _ec2_lab_files .ssh/hosts '' ;;
        SCRIPT) grep -ho 'PluginScript("[^"]*"' plugins/*.py 2>/dev/null | cut -d'"' -f2 ;;
        NAME|MEMBER) _ec2_lab_files members .toml ;;
        DATASET) sed -n 's/^ *dataset *= *"\([^"]*\)".*/\1/p' experiments/*.toml 2>/dev/null ;;
        REGIONS) sed -n '/^regions/,/\]/p' lab.toml | grep -o '"[^"]*"' | tr -d '"' ;;
        GPU) printf '%s\n' A10G A100 B200 H100 H200 L4 L40S T4 V100 ;;
        GROUP_BY) printf '%s\n' member experiment region kind ;;
        YES|FIX|DRY_RUN|PURGE|ADOPT|RETRY_FAILED|RAW|TTY|JSON|DEBUG|FORCE) echo 1 ;;
    esac
}

_ec2_lab_offer() {  # adds the names on standard input that begin with $1, each with $2 behind it
    local name LC_ALL=C
    while IFS= read -r name; do
        case $name in
            ''|*[!A-Za-z0-9._-]*|[!A-Za-z0-9]*) ;;
            "$1"*) COMPREPLY+=("$name$2") ;;
        esac
    done
}

_ec2_lab_offer_files() {  # adds the files whose paths begin with $1, quoted as a shell needs it
    local file begin=${1//\\/} home=
    case $begin in '~/'*) home=$HOME/ begin=$HOME/${begin#'~/'} ;; esac
    for file in "$begin"*; do
        [ -e "$file" ] || continue
        [ -d "$file" ] && file=$file/
        if [ -n "$home" ]; then
            COMPREPLY+=("~/$(printf %q "${file#"$home"}")")
        else
            COMPREPLY+=("$(printf %q "$file")")
        fi
    done
}

_ec2_lab() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]-} name= IFS=$' \t\n'
    COMPREPLY=()
    if ! grep -qs 'front door of ec2-lab' Makefile; then
        _ec2_lab_offer_files "$word"
        return
    fi
    # "EXP=fo" is one word or three, as COMP_WORDBREAKS has it.
    case $word in
        =) name=$before word= ;;
        *=*) name=${word%%=*} word=${word#*=} ;;
        *) [ "$before" = "=" ] && name=${COMP_WORDS[COMP_CWORD - 2]} ;;
    esac
    case $name in
        '') ;;
        KEY|OUTPUT) _ec2_lab_offer_files "$word" ;;
        *) _ec2_lab_offer "$word" '' < <(_ec2_lab_values "$name") ;;
    esac
    if [ -n "$name" ]; then
        [ ${#COMPREPLY[@]} -gt 0 ] || return 0  # bash before 4.4 takes an empty array for an unset one
        case ${COMP_WORDS[COMP_CWORD]} in ?*=*) COMPREPLY=("${COMPREPLY[@]/#/$name=}") ;; esac
        return
    fi
    _ec2_lab_offer "$word" '' < <(sed -n 's/^\([a-z][a-z-]*\):.*## .*/\1/p' Makefile)
    if [ "$COMP_CWORD" -gt 1 ]; then
        compopt -o nospace 2>/dev/null  # bash 3.2 has none
        _ec2_lab_offer "$word" = < <(sed -n 's/^VARIABLES := //p' Makefile | tr ' ' '\n')
    fi
}

complete -F _ec2_lab make
