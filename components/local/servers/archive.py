"""A partition's log, kept outside the region that writes it: every segment, by whoever is the writer at the time.

The program that PostgreSQL calls is a few lines for /bin/sh beside the member's data: it needs nothing of this project
or of its Python, so that a checkout that is moved does not fill the writer's disk with segments that nobody takes.
"""

import shlex
from pathlib import Path

from components.local.servers import paths, wan
from components.local.servers.member import MemberSpec, Vault
from components.local.servers.postgres_files import ARCHIVE, ARCHIVE_PROGRAM, quoted

SUFFIX = ".gz"

# Called in the data folder with a file's path and its name (PostgreSQL, "archive_command"). It may be called again for
# a file that it has kept already, after a crash or by another member, and must not replace one of other content.
_PROGRAM = """\
#!/bin/sh
# Written by Meridian, which replaces it.
vault={vault}
member={member}

for cut in {cuts}; do
    if [ -e "$cut" ]; then
        echo "the way to the vault in {region} is cut" >&2
        exit 1
    fi
done

keep() {{
    kept="$vault/$2.gz"
    if [ -e "$kept" ]; then
        if ! gzip -dc "$kept" | cmp -s - "$1"; then
            echo "$kept is there already and has other content" >&2
            return 1
        fi
    else
        draft="$vault/.$2.$member"
        gzip -1 -n -c "$1" > "$draft" && sync "$draft" || return 1
        # Unlike mv it fails where there is one by now.
        ln "$draft" "$kept" || return 1
        rm -f "$draft"
    fi
    sync "$vault"
}}

# A member that was promoted archives what it writes, and nothing of what it had received. What the writer before it
# had sent and not archived yet would be missing, so it comes first; the history file says where the old log ends.
inherit() {{
    tail -n 1 "$1" | {{
        read -r parent end rest || return 0
        parent=$(printf '%08X' "$parent")
        for segment in pg_wal/"$parent"????????????????; do
            [ -e "$segment" ] || continue
            size=$(wc -c < "$segment")
            last=$(printf '%08X%08X' "0x${{end%/*}}" "$((0x${{end#*/}} / size))")
            name=${{segment#pg_wal/}}
            if [ "$name" \\< "$parent$last" ] && ! [ -e "$vault/$name.gz" ]; then
                keep "$segment" "$name" || return 1
            fi
        done
    }}
}}

case $2 in
    *.history) inherit "$1" || exit 1 ;;
esac
keep "$1" "$2"
"""


def log_folder(vault: Path) -> Path:
    return vault / "wal"


def prepare(member: MemberSpec) -> bool:
    """Write what makes a member archive, where its vault is known. Whether that is new to it."""
    if member.vault is None:
        return False
    paths.make_folder(log_folder(member.vault.folder))
    program = member.home / ARCHIVE_PROGRAM
    paths.write_if_changed(program, _program(member, member.vault))
    command = f"/bin/sh {_word(program)} %p %f"
    return paths.write_if_changed(member.home / ARCHIVE, f"archive_command = {quoted(command)}\n")


def restore_command(vault: Path) -> str:
    """How a server gets a file of the log back. It asks for more than there is, which is no fault of anybody."""
    kept = f"{_word(log_folder(vault))}/%f{SUFFIX}"
    return f'test -f {kept} && gzip -dc {kept} > "%p"'


def segments(vault: Path) -> list[str]:
    """The names of what is kept, the oldest first."""
    return sorted(path.name.removesuffix(SUFFIX) for path in log_folder(vault).glob(f"[!.]*{SUFFIX}"))


def forget_before(vault: Path, segment: str) -> int:
    """Delete the log before a segment, of whichever timeline, but no history. How many files that were."""
    # The timeline, the first 8 digits, does not count: the same rule as pg_archivecleanup's.
    old = [name for name in segments(vault) if not name.endswith(".history") and name[8:24] < segment[8:24]]
    for name in old:
        (log_folder(vault) / f"{name}{SUFFIX}").unlink(missing_ok=True)
    return len(old)


def _program(member: MemberSpec, vault: Vault) -> str:
    ways = []
    if vault.region != member.region:
        pairs = ((member.region, vault.region), (vault.region, member.region))
        ways = [wan.cut_file(member.stack_folder, wan.link_name(*pair, users=False)) for pair in pairs]
    return _PROGRAM.format(
        vault=shlex.quote(str(log_folder(vault.folder))),
        member=shlex.quote(member.member),
        cuts=" ".join(shlex.quote(str(way)) for way in ways) or "''",
        region=vault.region,
    )


def _word(path: Path) -> str:
    """A path in a command of PostgreSQL's, where a percent sign begins a placeholder."""
    return shlex.quote(str(path)).replace("%", "%%")
