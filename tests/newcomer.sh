#!/usr/bin/env bash
# A newcomer's path, timed: a fresh clone to its first label, and to a finetuned model of one's own
# served. Each step is a command of the README. What pip has cached makes the first steps shorter.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon"; rm -rf "$work"' EXIT
unset PYTHONPATH

started=$(date +%s)
passed() { echo "== $(($(date +%s) - started)) s: $1"; }

git clone --quiet "$repository" "$work/streamcls"
cd "$work/streamcls"
first=
while IFS= read -r line; do
    printf '%s\n' "$line"
    if [ -z "$first" ] && [[ $line == *" start "* ]]; then
        first=$(($(date +%s) - started))
        passed "clone to first label"
    fi
done < <(make PYTHON="${PYTHON:-python3}" demo)
[ -n "$first" ] || { echo "make demo showed no label" >&2; exit 1; }
passed "the demonstration is over"

.venv/bin/python -m pip --disable-pip-version-check --quiet install --constraint constraints.txt --editable '.[finetune]'
passed "the extra finetune is installed"
.venv/bin/python -m tests.finetune.ramps clips
.venv/bin/streamcls finetune clips --model camera-motion --out mine.safetensors
passed "finetuned"

cat >mine.toml <<END
[[streams]]
id = "mine"
url = "clips/new.mp4"
loop = true
[model]
path = "mine.safetensors"
[publish]
endpoint = "ipc://$work/events"
[journal]
enabled = false
[http]
port = 0
END
.venv/bin/streamcls run mine.toml 2>daemon.log &
daemon=$!
.venv/bin/python - "ipc://$work/events" <<'END' || { cat daemon.log >&2; exit 1; }
import sys

from streamcls.client import Subscriber

with Subscriber(sys.argv[1], kinds=["prediction"]) as items:
    prediction = items.receive(60)
best = prediction.data.top[0]
print(f"{prediction.subject} is {best.label} ({best.score:.2f}), says {prediction.data.model}")
sys.exit(best.label != "rise")
END
served=$(($(date +%s) - started))
echo
echo "clone to first label: $first s"
echo "clone to own finetuned model served: $served s"
