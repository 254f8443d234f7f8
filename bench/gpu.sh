#!/usr/bin/env bash
# What only a GPU can show, in under ten minutes: bench/gpu.sh OUT [PART...], from the repository root.
# Parts: tests kernels products steps epoch ensemble train recipes accuracy; by default all. Results go into the folder OUT,
# and say of which GPU they are. $LETTERGPU_EMNIST names the letters; $PYTHON is what runs (python), $IMAGES how many
# images an epoch has. Steps are launched one by one (plain), replayed with cuBLAS's products (replay), and replayed with
# products of our own (own).
set -u
out=${1:?usage: bench/gpu.sh OUT [PART...]}
shift
python=${PYTHON:-python} images=${IMAGES:-92788} few=${IMAGES:-24960} letters=${LETTERGPU_EMNIST:-builtin}
mkdir -p "$out"

by() { # by plain|replay|own COMMAND...
    local replay=1 products=cublas
    [ "$1" = plain ] && replay=0
    [ "$1" = own ] && products=own
    shift
    (export LETTERGPU_REPLAY=$replay LETTERGPU_PRODUCTS=$products && "$@")
}
epoch() { # epoch NAME OPTION...: all three ways, the last beside the others
    local peers=() way
    for way in plain replay own; do
        [ $way = own ] && peers=(torch jax)
        echo "-- $1, $way"
        by $way "$python" bench/speed/epoch.py --device cuda --activation relu --rounds 3 --peers "${peers[@]}" \
            --json "$out/epoch-$1-$way.json" "${@:2}" || return
    done
}
lettergpu() { "$python" -P -m lettergpu "$@"; }
trained() { # trained NAME OPTION...: in the folder NAME
    rm -rf "$out/${1:?}"
    lettergpu train --data "$letters" --out "$out/$1" "${@:2}" >"$out/$1.txt"
}
compared="
import csv, sys
from safetensors.numpy import load_file
def losses(run):
    with open(f'{sys.argv[1]}/{run}/metrics.csv') as file:
        return [float(row[part]) for row in csv.DictReader(file) for part in ('train_loss', 'val_loss')]
def last(run):
    return load_file(f'{sys.argv[1]}/{run}/last.safetensors')
good = True
for one, other in (('own', 'again'), ('own', 'resumed'), ('plain', 'replay')):
    same = all((last(one)[name] == last(other)[name]).all() for name in last(one))
    print(f'{one} and {other} are {\"the same\" if same else \"NOT the same\"}')
    good &= same
for way in ('plain', 'replay', 'own'):
    apart = max(abs(gpu / cpu - 1) for gpu, cpu in zip(losses(way), losses('cpu'), strict=True))
    print(f'{way}: losses {apart:.1e} from the CPU\'s, at most 1e-3')
    good &= apart <= 1e-3
sys.exit(not good)
"

part() {
    local way watching
    case $1 in
    tests)
        by plain "$python" -P -m pytest -q -m cuda -p no:cacheprovider &&
            by own "$python" -P -m pytest -q -m cuda -p no:cacheprovider tests/training tests/nn
        ;;
    kernels) "$python" bench/kernels/kernels.py --rounds 6 --json "$out/kernels.json" ;;
    products)
        "$python" bench/kernels/products.py --json "$out/products.json" &&
            "$python" bench/kernels/products.py --members 8 --batch-size 256 --json "$out/products-k8.json"
        ;;
    steps)
        for way in replay own; do
            by $way "$python" bench/kernels/step.py --images "$images" --json "$out/step-default-$way.json" &&
                by $way "$python" bench/kernels/step.py --recipe report --augment none --activation relu --images "$images" \
                    --precision tf32 --json "$out/step-b256-tf32-$way.json" || return
        done
        ;;
    epoch)
        epoch b256 --images "$images" && epoch b256-tf32 --images "$images" --precision tf32 &&
            epoch b1024-tf32 --images "$images" --precision tf32 --batch-size 1024
        ;;
    ensemble) epoch k8-tf32 --images "$few" --ensemble 8 --precision tf32 ;;
    train) # twice the same bits, interrupted as well, and the CPU's losses
        for way in plain replay own; do by $way trained $way --epochs 3 --device cuda || return; done
        by own trained again --epochs 3 --device cuda && trained cpu --epochs 3 --device cpu || return
        rm -rf "$out/resumed"
        by own trained resumed --epochs 3 --device cuda &
        until [ -s "$out/resumed/last.safetensors" ] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
        pkill -9 -f "[-]-out $out/resumed" # after an epoch, if it is quick enough
        wait $!
        by own lettergpu train --resume "$out/resumed" >>"$out/resumed.txt"
        "$python" -P -c "$compared" "$out"
        ;;
    recipes) # the seconds of training, and the most memory that the GPU's programs had meanwhile
        for way in default small; do
            { while sleep 0.5; do nvidia-smi --query-gpu=memory.used --format=csv,noheader; done; } \
                >"$out/recipe-$way-memory.txt" 2>/dev/null &
            watching=$!
            by own timeout 150 "$python" -P -m lettergpu train --device cuda --data "$letters" --out "$out/recipe-$way" \
                --class-weight balanced $([ $way = default ] || echo --recipe $way) >"$out/recipe-$way.txt"
            kill $watching
            tail -n 8 "$out/recipe-$way.txt"
            sort -n "$out/recipe-$way-memory.txt" | tail -n 1
        done
        ;;
    accuracy) by own "$python" bench/speed/time_to_accuracy.py --device cuda --seeds 3 --json "$out/time-to-accuracy.json" ;;
    *) echo "there is no part $1" >&2 && return 2 ;;
    esac
}

failed=0
for name in "${@:-tests kernels products steps epoch ensemble train recipes accuracy}"; do
    for each in $name; do
        echo "== $each"
        part "$each" || { echo "== $each failed" && failed=1; }
    done
done
exit $failed
