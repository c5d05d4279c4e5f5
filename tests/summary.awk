# Reads the output of `cargo test --no-fail-fast` and prints what a person needs who sees only its last lines: what each
# test that failed said, those that ended without a word, one line for each, and the numbers.
#
# libtest and libtest-mimic print failures at the end of their own target, hundreds of lines before the end of all.

# A message begins …
/^---- .+ ----$/ {
  name = $0
  sub(/^---- /, "", name)
  sub(/ (stdout )?----$/, "", name)
  names[++count] = name
  next
}
# … and ends where the list of names follows, or the target's result.
/^failures:$/ || /^test result: / { name = "" }
name != "" { said[count, ++lines[count]] = $0 }

/^test result: / { passed += $4; failed += $6; skipped += $8 }
# A target that did not build, was ended by a signal, or gave up before it had a result.
/^error: test failed, to rerun pass / || /process didn't exit successfully/ || /^error(\[E[0-9]+\])?: / { troubles[++trouble] = $0 }

END {
  for (n = 1; n <= count; n++) {
    printf "\n---- %s ----\n", names[n]
    # The beginning says what was wrong, the end what was left.
    for (l = 1; l <= lines[n]; l++) {
      if (lines[n] > MOST && l == MOST / 2 + 1) {
        printf "  … %d lines …\n", lines[n] - MOST
        l = lines[n] - MOST / 2 + 1
      }
      print cut(said[n, l], 600)
    }
  }
  if (count + trouble > 0) print "\nfailed:"
  for (n = 1; n <= count; n++) printf "  %s: %s\n", names[n], cut(first(n), 300)
  for (n = 1; n <= trouble; n++) printf "  %s\n", cut(troubles[n], 300)
  printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped
}

function cut(text, most) { return length(text) > most ? substr(text, 1, most) "…" : text }

# Where libtest names the thread and the place first, the next line is what was wrong.
function first(n,   l, text) {
  for (l = 1; l <= lines[n]; l++) {
    if (said[n, l] == "") continue
    text = text == "" ? said[n, l] : text " " said[n, l]
    if (said[n, l] !~ /^thread .* panicked at/) break
  }
  return text
}
