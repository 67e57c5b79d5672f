//! Completions of the command line: what clap makes of it, and names of services, which the supervisor is asked for.

use super::definition;
use clap_complete::aot::Shell;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;

/// In bash the function of clap is called by one that adds names. `@COMMANDS@` stands for the commands that take some,
/// `@VALUED@` for the options that have a value, and `@SIGNALS@` for the names of signals.
const BASH: &str = r#"
# Names of services, asked of the supervisor whose file stands on the command line.
_bootstrap_services() {
    local -i at
    local file=
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
            -c | --config) file=${COMP_WORDS[at + 1]} ;;
        esac
        [[ $file = "=" ]] && file=${COMP_WORDS[at + 2]}
    done
    [[ -z $file ]] || "${COMP_WORDS[0]}" -c "${file/#\~/$HOME}" status --names --timeout 1s 2>/dev/null
}

_bootstrap_and_services() {
    _bootstrap "$@"
    local word=${COMP_WORDS[COMP_CWORD]} sig=
    local -a words=()
    local -i at
    # What is no option, and no value of one: the command, and what follows it.
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
            @VALUED@)
                at+=1
                [[ ${COMP_WORDS[at]} != "=" ]] || at+=1 ;;
            -*) ;;
            *) words+=("${COMP_WORDS[at]}") ;;
        esac
    done
    [[ $word != -* ]] && ((at == COMP_CWORD)) || return 0
    if [[ ${words[*]} = signal ]]; then
        [[ $word != SIG* ]] || sig=SIG
        COMPREPLY=($(compgen -P "$sig" -W "@SIGNALS@" -- "${word#SIG}"))
        return 0
    fi
    case ${words[0]} in
        @COMMANDS@)
            COMPREPLY=($(compgen -W "$(_bootstrap_services)" -- "$word")) ;;
    esac
}

complete -F _bootstrap_and_services -o bashdefault -o default bootstrap
"#;

/// In fish they are one more completion of these commands.
const FISH: &str = r#"
# Names of services, asked of the supervisor whose file stands on the command line.
function __fish_bootstrap_services
    set -l words (commandline -opc)
    set -l file
    for at in (seq (count $words))
        switch $words[$at]
            case -c --config
                set file $words[(math $at + 1)]
            case '--config=*'
                set file (string replace -- --config= '' $words[$at])
        end
    end
    test -n "$file"
    and $words[1] -c $file status --names --timeout 1s 2>/dev/null
end

# Is a signal what comes next? It is the first word after its command that is no option, and no value of one.
function __fish_bootstrap_wants_signal
    set -l others
    set -l value
    for word in (commandline -opc)[2..]
        if test -n "$value"
            set value
            continue
        end
        switch $word
            case @VALUED@
                set value yes
            case '-*'
            case '*'
                set -a others $word
        end
    end
    test "$others" = signal
end

complete -c bootstrap -n "__fish_seen_subcommand_from @COMMANDS@; and not __fish_bootstrap_wants_signal" -f -a "(__fish_bootstrap_services)"
complete -c bootstrap -n __fish_bootstrap_wants_signal -f -a "@SIGNALS@"
"#;

/// In zsh clap's own function calls this one, where it would offer files. It knows only what follows the command.
const ZSH: &str = r#"
# Names of services, asked of the supervisor whose file stands on the command line.
_bootstrap_services() {
    local -a all names
    local -i at
    local file=
    all=(${(z)LBUFFER})
    for ((at = 1; at < $#all; at++)); do
        case $all[at] in
            -c | --config) file=${(Q)all[at+1]} ;;
            --config=*) file=${(Q)all[at]#--config=} ;;
        esac
    done
    [[ -n $file ]] || return 1
    names=(${(f)"$(bootstrap -c ${file/#\~/$HOME} status --names --timeout 1s 2>/dev/null)"})
    compadd -a names
}

"#;

/// The script for a shell.
pub(super) fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition(), "bootstrap", &mut script);
    let with = |ours: &str, between: &str| {
        ours.replace("@COMMANDS@", &commands_of_services().join(between))
            .replace("@VALUED@", &options_with_a_value().join(between))
            .replace("@SIGNALS@", &names_of_signals().join(" "))
    };
    match shell {
        Shell::Bash => script.extend(with(BASH, " | ").bytes()),
        Shell::Fish => script.extend(with(FISH, " ").bytes()),
        Shell::Zsh => script = in_zsh(&String::from_utf8(script).expect("clap writes text")).into_bytes(),
        Shell::Elvish | Shell::PowerShell | _ => {}
    }
    script
}

/// The commands that take names of services.
fn commands_of_services() -> Vec<String> {
    let takes_some = |command: &&clap::Command| command.get_arguments().any(|it| it.get_id() == "services");
    definition().get_subcommands().filter(takes_some).map(|command| command.get_name().to_owned()).collect()
}

/// The options after which a value follows, of whatever command.
fn options_with_a_value() -> Vec<String> {
    let all = definition();
    let of_commands = all.get_subcommands().flat_map(clap::Command::get_opts);
    let names = all.get_opts().chain(of_commands).filter(|option| option.get_action().takes_values());
    let spelled = names.flat_map(|option| {
        let short = option.get_short().map(|letter| format!("-{letter}"));
        short.into_iter().chain(option.get_long().map(|name| format!("--{name}")))
    });
    spelled.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Signals, as `signal` takes them.
fn names_of_signals() -> Vec<&'static str> {
    let bare = |signal: Signal| signal.as_str().trim_start_matches("SIG");
    Signal::iterator().map(bare).collect()
}

fn in_zsh(script: &str) -> String {
    // The last line of clap's calls the function, where the script is read for the first completion.
    let (head, tail) = script.split_once("\n_bootstrap()").unwrap_or(("", script));
    let signals = format!(":({})'", names_of_signals().join(" "));
    let with = |line: &str| {
        if line.starts_with("'*::services --") {
            line.replace(":_default'", ":_bootstrap_services'")
        } else if line.starts_with("':signal --") {
            line.replace(":_default'", &signals)
        } else {
            line.into()
        }
    };
    let lines: Vec<String> = tail.lines().map(with).collect();
    format!("{head}\n{ZSH}_bootstrap(){}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_offered_where_they_are_taken() {
        let commands = commands_of_services();
        for wanted in ["status", "restart", "events", "signal"] {
            assert!(commands.iter().any(|command| command == wanted), "{commands:?}");
        }
        assert!(!commands.iter().any(|command| command == "reload"), "{commands:?}");
        let zsh = String::from_utf8(script(Shell::Zsh)).unwrap();
        assert_eq!(zsh.matches(":_bootstrap_services'").count(), commands.len());
        assert!(zsh.contains(":(HUP INT ") && zsh.starts_with("#compdef bootstrap"), "{zsh}");
    }
}
