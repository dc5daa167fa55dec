#!/usr/bin/env bash
# five_lines:full and the benchmarks on a GPU that is at hand for minutes only, in pieces that keep what is done.
#
#   tools/gpu/pieces.sh prepare FOLDER            without a GPU: draw the data set, measure its ceilings
#   tools/gpu/pieces.sh piece FOLDER [SECONDS]    on the GPU: go on for so long (540), and pack; again until it says done
#   tools/gpu/pieces.sh pack FOLDER               what is new since the last packing, in files under 16 MB
#
# Run it in the repository, in an environment that has the package: `pip install '.[gpu]'`, or, where nothing can be
# downloaded, wheels fetched elsewhere (`pip download -d wheels '.[gpu]'`, then `pip install --no-index -f wheels .`).
# BIN=DIR/ takes the programs of an environment that is not active. FOLDER goes to the GPU with the repository, and
# FOLDER/packed comes back: `cat packed/1.tar.gz.* | tar -xz -C FOLDER`, then 2 and so on, adds it to what was prepared.
# A training that a piece cuts off goes on from its checkpoint; a benchmark that it cuts off begins again.
set -euo pipefail

command=${1:?prepare, piece or pack} folder=${2:?a folder} seconds=${3:-540}
bin=${BIN:-}
preset=${PRESET:-five_lines:full}

# names and commands, in order: what a GPU is for comes first
steps=(
    "run ${bin}simbench run $preset --out $folder/run"
    "training-basset-400 ${bin}python benchmarks/training.py --model basset --length 400 --batches 1000"
    "training-beluga-400 ${bin}python benchmarks/training.py --model beluga --length 400 --batches 1000"
    "training-basset-1000 ${bin}python benchmarks/training.py --model basset --length 1000 --batches 1000"
    "training-beluga-1000 ${bin}python benchmarks/training.py --model beluga --length 1000 --batches 1000"
    "attribution ${bin}python benchmarks/attribution.py"
    "precision ${bin}python benchmarks/precision.py --preset five_lines"
)

pack() {
    mkdir -p "$folder/packed" "$folder/logs"
    cd "$folder"
    local number new=()
    number=$(($(find packed -name "*.gz.aa" | wc -l) + 1))
    if [ -e packed/last ]; then new=(-newer packed/last); fi
    touch packed/next
    find run logs -type f "${new[@]}" -print0 |
        tar -cz --null -T - | split -b 15M - "packed/$number.tar.gz."
    mv packed/next packed/last
    ls -l packed
    cd - > /dev/null
}

piece() {
    local end=$((SECONDS + seconds)) step name
    mkdir -p "$folder/logs"
    for step in "${steps[@]}"; do
        name=${step%% *}
        if [ -e "$folder/logs/$name.done" ]; then continue; fi
        if [ $((end - SECONDS)) -lt 1 ]; then break; fi
        echo "$name: ${step#* }"
        # SIGTERM writes a checkpoint first
        if timeout --kill-after=30 $((end - SECONDS)) ${step#* } >> "$folder/logs/$name.log" 2>&1; then
            touch "$folder/logs/$name.done"
        else
            local code=$?
            tail -n 3 "$folder/logs/$name.log"
            # a step that fails by itself must not hold up the others
            if [ $code -ne 124 ] && [ $code -ne 137 ]; then echo "$name failed with $code"; fi
        fi
    done
    pack
    local left=$((${#steps[@]} - $(find "$folder/logs" -name "*.done" | wc -l)))
    if [ $left -eq 0 ]; then echo "done"; else echo "left: $left of ${#steps[@]} steps"; fi
}

case $command in
    prepare)
        "${bin}simbench" simulate "$preset" --out "$folder/run"
        "${bin}simbench" oracle "$folder/run"
        # what is here already need not come back
        mkdir -p "$folder/packed"
        touch "$folder/packed/last"
        ;;
    piece) piece ;;
    pack) pack ;;
    *) echo "$command: prepare, piece or pack" >&2; exit 2 ;;
esac
