# Completes make in a lab's directory, and `make -C LAB` elsewhere, as completion.bash does, which it asks.
#
#     source scripts/completion.fish       in ~/.config/fish/config.fish

set -g _ec2_lab_bash (path resolve (status dirname))/completion.bash

function _ec2_lab
    set -l ask 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ec2_lab
        [ ${#COMPREPLY[@]} = 0 ] || printf "%s\n" "${COMPREPLY[@]}" | sed "s/\\\\\\\\\(.\)/\1/g"'
    bash -c $ask bash $_ec2_lab_bash (commandline -opc) (commandline -ct)
end

complete -c make -f -a '(_ec2_lab)'
