# Runs checks and counts their results; the log of each is kept, and shown when it fails.
# shellcheck shell=bash
PASSED=0 FAILED=0 SKIPPED=0
CHECK_LOG=$LOGS/check
mkdir -p "$CHECK_LOG"

# tally PASSED FAILED SKIPPED
tally() {
    PASSED=$((PASSED + $1)) FAILED=$((FAILED + $2)) SKIPPED=$((SKIPPED + $3))
}

# into_log NAME CMD…: runs CMD with its output in a log of that name; sets LOG and its exit status STATUS.
into_log() {
    LOG=$CHECK_LOG/${1//[^a-zA-Z0-9]/-}.log
    STATUS=0
    STARTED=$SECONDS
    "${@:2}" >"$LOG" 2>&1 || STATUS=$?
}

verdict() { # NAME ok|"not ok"
    say "$2 $1 # $((SECONDS - STARTED)) s"
    [ "$2" = ok ] || { tail -n 40 "$LOG" | sed 's/^/#   /'; say "# the whole log: $LOG"; }
}

# count_one NAME CMD…: one check, which passes when CMD ends with 0, or is skipped when it says SKIPPED.
count_one() {
    into_log "$@"
    if [ $STATUS = 0 ] && reason=$(grep -m 1 -o 'SKIPPED: .*' "$LOG"); then
        tally 0 0 1
        say "ok $1 # SKIP ${reason#SKIPPED: }"
    elif [ $STATUS = 0 ]; then
        tally 1 0 0
        verdict "$1" ok
    else
        tally 0 1 0
        verdict "$1" "not ok"
    fi
}

# count_cargo NAME CMD…: the tests that cargo's summary lines name.
count_cargo() {
    into_log "$@"
    local sums
    sums=$(sed -n 's/^test result: [a-zA-Z]*\. \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' "$LOG" |
        awk '{p += $1; f += $2; s += $3} END {print p + 0, f + 0, s + 0}')
    read -r p f s <<<"$sums"
    # Nothing ran, or cargo failed without a failing test: that is a failure too.
    if [ $STATUS != 0 ] && [ "$f" = 0 ] || [ "$((p + f))" = 0 ]; then f=$((f + 1)); fi
    tally "$p" "$f" "$s"
    verdict "$1: $p passed, $f failed, $s ignored" "$([ "$f" = 0 ] && echo ok || echo "not ok")"
}

# count_part NAME CMD…: a command that prints its results as they come and ends in a line of counts.
count_part() {
    LOG=$CHECK_LOG/${1//[^a-zA-Z0-9]/-}.log
    STARTED=$SECONDS
    say "# --- $1"
    STATUS=0
    "${@:2}" 2>&1 | tee "$LOG" | { grep --line-buffered -v '^1\.\.\|^KTAP\|passed, .*failed, .*skipped$' || true; } || STATUS=${PIPESTATUS[0]}
    if ! tally_last "$LOG"; then
        tally 0 1 0
        say "not ok $1: it ended without results; the whole log: $LOG"
    fi
}

# tally_last LOG: the last line of counts in a log; one that ended with another status than 0 (STATUS) has a failure.
tally_last() {
    local p f s
    read -r p f s <<<"$(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p' "$1" | tail -n 1)"
    [ -n "$p" ] || return 1
    # Fewer results than expected are not a success: a part that dies counts as one failure.
    [ "$STATUS" = 0 ] || [ "$f" != 0 ] || f=1
    tally "$p" "$f" "$s"
}

end_counts() {
    say "$PASSED passed, $FAILED failed, $SKIPPED skipped"
    [ $FAILED = 0 ]
}
