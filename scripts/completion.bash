# Completes make in a lab's directory, and `make -C LAB` elsewhere: targets, the variables of a target, and their values.
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

# Reads the options of a script as Python has them: `Name = Annotated[…]` with option("…"), in options.py and there.
_ec2_lab_awk='
    FNR == 1 { file++; name = ""; importing = 0 }
    /^[A-Za-z]+ = Annotated/ { name = $1; text = "" }
    /^[^] )]/ && !/^[A-Za-z]+ = Annotated/ { name = "" }
    name != "" {
        text = text $0
        if (match(text, /option\("[A-Z_]+"/)) {
            kind = text ~ /Annotated\[ *bool/ ? "flag" : text ~ /metavar=FILE/ ? "file" : "text"
            option[name] = substr(text, RSTART + 8, RLENGTH - 9) " " kind
            if (file > 1) used[name] = 1
        }
    }
    file > 1 && /^from ec2lab.options import/ { importing = 1 }
    importing { words = split($0, word, /[^A-Za-z]+/); for (i = 1; i <= words; i++) used[word[i]] = 1 }
    importing && (/\)/ || !/[(,]$/) { importing = 0 }
    END { for (name in used) if (name in option) print option[name] }
'

_ec2_lab_targets() { sed -n 's/^\([a-z][a-z-]*\):.*## .*/\1/p' Makefile; }

_ec2_lab_options() {  # launch: each variable that the target takes, and whether it is a flag, a file or text
    local module
    module=$(sed -n "/^$1:/,/^\$/s/^.\\\$(RUN) \([a-z_.]*\).*/\1/p" Makefile)
    module=$(printf %s "$module" | tr . /)
    [ -f "$module.py" ] || module=$module/__main__
    [ -f "$module.py" ] && awk "$_ec2_lab_awk" ec2lab/options.py "$module.py"
    sed -n "s/^$1:.*## //p" Makefile | grep -o '[A-Z_]*=1*' | sed -e 's/=1$/ flag/' -e 's/=$/ text/'
    case $1 in script) sed -n 's/^VARIABLES := //p' Makefile | tr ' ' '\n' | sed 's/$/ text/' ;; esac
    printf '%s\n' 'DEBUG flag' 'REGISTRY file' 'MEMBER text'
}

_ec2_lab_kind() {  # launch COUNT: flag, file or text
    _ec2_lab_options "$1" | sed -n "s/^$2 \(f[a-z]*\)$/\1/p" | head -1
}

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
        GROUP_BY) printf '%s\n' member experiment region resource-type ;;
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

_ec2_lab_offer_files() {  # adds the files whose paths begin with $1, quoted as a shell needs it; with $2, absolute ones
    local file begin=${1//\\/} home=
    case $begin in
        '~/'*) home=$HOME/ begin=$HOME/${begin#'~/'} ;;
        /*) ;;
        *) [ -z "${2-}" ] || begin=$PWD/${begin#./} ;;
    esac
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
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]-} IFS=$' \t\n'
    local name= lab=. target= other at
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        [ "${COMP_WORDS[at]}" = -C ] && lab=${COMP_WORDS[at + 1]//\\/}
    done
    case $lab in '~/'*) lab=$HOME/${lab#'~/'} ;; esac
    if [ "$before" = -C ] || ! grep -qs -- 'front door of ec2-lab' "$lab/Makefile"; then
        _ec2_lab_offer_files "$word"
        return
    fi
    while read -r other; do
        for ((at = 1; at < COMP_CWORD; at++)); do
            case ${COMP_WORDS[at - 1]} in =|-C) continue ;; esac
            [ "${COMP_WORDS[at]}" = "$other" ] && target=$other
        done
    done < <(cd -- "$lab" && _ec2_lab_targets)
    # "EXP=fo" is one word or three, as COMP_WORDBREAKS has it.
    case $word in
        =) name=$before word= ;;
        *=*) name=${word%%=*} word=${word#*=} ;;
        *) [ "$before" = "=" ] && name=${COMP_WORDS[COMP_CWORD - 2]} ;;
    esac
    if [ -n "$name" ]; then
        case $name in *[!A-Z_]*) return ;; esac
        case $(cd -- "$lab" && _ec2_lab_kind "${target:-script}" "$name") in
            flag) _ec2_lab_offer "$word" '' <<< 1 ;;
            file) _ec2_lab_offer_files "$word" "${lab#.}" ;;
            *) _ec2_lab_offer "$word" '' < <(cd -- "$lab" && _ec2_lab_values "$name") ;;
        esac
        [ ${#COMPREPLY[@]} -gt 0 ] || return 0  # bash before 4.4 takes an empty array for an unset one
        case ${COMP_WORDS[COMP_CWORD]} in ?*=*) COMPREPLY=("${COMPREPLY[@]/#/$name=}") ;; esac
        return
    fi
    _ec2_lab_offer "$word" '' < <(cd -- "$lab" && _ec2_lab_targets)
    if [ -n "$target" ]; then
        compopt -o nospace 2>/dev/null  # bash 3.2 has none
        _ec2_lab_offer "$word" = < <(cd -- "$lab" && _ec2_lab_options "$target" | cut -d' ' -f1 | sort -u)
    fi
}

complete -F _ec2_lab make
