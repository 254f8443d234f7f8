#!/usr/bin/env bash
# What only a GPU can show, in under ten minutes: bench/gpu.sh OUT [PART...], from the repository root.
# Parts: tests kernels epoch ensemble train accuracy; by default all. Results go into the folder OUT, and say of which
# GPU they are. $LETTERGPU_EMNIST names the letters; $PYTHON is what runs (python), $IMAGES how many an epoch has.
set -u
out=${1:?usage: bench/gpu.sh OUT [PART...]}
shift
python=${PYTHON:-python} images=${IMAGES:-92788} few=${IMAGES:-24960}
mkdir -p "$out"

epoch() { "$python" bench/speed/epoch.py --device cuda --activation relu --rounds 3 --peers torch jax "$@"; }
lettergpu() { "$python" -P -m lettergpu "$@"; }
trained() { # trained NAME OPTION...: three epochs in the folder NAME
    rm -rf "$out/${1:?}"
    lettergpu train --data "${LETTERGPU_EMNIST:-builtin}" --epochs 3 --out "$out/$1" "${@:2}" >"$out/$1.txt"
}
compared="
import csv, sys
from safetensors.numpy import load_file
def losses(run):
    with open(f'{sys.argv[1]}/{run}/metrics.csv') as file:
        return [float(row[part]) for row in csv.DictReader(file) for part in ('train_loss', 'val_loss')]
once, again = (load_file(f'{sys.argv[1]}/{run}/last.safetensors') for run in ('once', 'again'))
same = all((once[name] == again[name]).all() for name in once)
apart = max(abs(gpu / cpu - 1) for gpu, cpu in zip(losses('once'), losses('cpu'), strict=True))
print(f'two trainings are {\"the same\" if same else \"NOT the same\"}, the losses {apart:.1e} from the CPU\'s, at most 1e-3')
sys.exit(not (same and apart <= 1e-3))
"

part() {
    case $1 in
    tests) "$python" -P -m pytest -q -m cuda -p no:cacheprovider ;;
    kernels) "$python" bench/kernels/kernels.py --rounds 6 --json "$out/kernels.json" ;;
    epoch)
        epoch --images "$images" --json "$out/epoch-b256.json"
        epoch --images "$images" --precision tf32 --json "$out/epoch-b256-tf32.json"
        epoch --images "$images" --precision tf32 --batch-size 1024 --json "$out/epoch-b1024-tf32.json"
        ;;
    ensemble) epoch --images "$few" --ensemble 8 --precision tf32 --json "$out/epoch-k8-tf32.json" ;;
    train) # twice the same bits, and the CPU's losses
        trained once --device cuda && trained again --device cuda && trained cpu --device cpu || return
        "$python" -P -c "$compared" "$out"
        ;;
    accuracy) "$python" bench/speed/time_to_accuracy.py --device cuda --seeds 3 --json "$out/time-to-accuracy.json" ;;
    *) echo "there is no part $1" >&2 && return 2 ;;
    esac
}

failed=0
for name in "${@:-tests kernels epoch ensemble train accuracy}"; do
    for each in $name; do
        echo "== $each"
        part "$each" || { echo "== $each failed" && failed=1; }
    done
done
exit $failed
