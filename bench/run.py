"""What bench/run runs where KVM works: a sandbox from nothing to nothing, and the boot that it is made of.

Of the image's own `true` most is its dynamic linker and the libraries, which the guest reads from the disk. So a static
one is measured too, of an image with nothing else; the limit is about that, beside the same image's boot.
"""
import argparse
import os
import pathlib
import subprocess

import measure

LIMIT = 1.10
FOREVER = '1000h'       # the lab's clock races while it waits for files


def small_image(bench):
    tree = bench.folder / 'tree'
    (tree / 'bin').mkdir(parents=True)
    subprocess.run(['musl-gcc', '-static', '-Os', '-s', '-xc', '-', '-o', tree / 'bin/true'], input=b'int main(void) { return 0; }',
                   check=True)
    image = bench.folder / 'small.img'
    subprocess.run(['/sbin/mkfs.ext4', '-q', '-d', tree, image, '8M'], check=True)
    return image


def commands(bench, tool):
    """What is measured: name -> (options of busy, command)."""
    images = {'static': small_image(bench), 'image': bench.image}

    def boot(image, *extra, **how):
        bench.image = images[image]
        return bench.ours(*extra, **how)

    def run(image):
        return [str(w) for w in (tool, 'run', '--rm', '--boot-timeout', FOREVER, '-m', f'{measure.MEMORY_MIB}M',
                                 images[image], 'true')]

    return {
        'static: boot to ready': (['-r'], lambda: boot('static', '--ready-fd', '{}')),
        'static: boot whole': ([], lambda: boot('static', append=measure.ONCE)),
        'static: run true': ([], lambda: run('static')),
        'image: boot to ready': (['-r'], lambda: boot('image', '--ready-fd', '{}')),
        'image: boot whole': ([], lambda: boot('image', append=measure.ONCE)),
        'image: run true': ([], lambda: run('image')),
        'vmlet alone': ([], lambda: [str(tool), '--version']),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--image', type=pathlib.Path, required=True)
    parser.add_argument('--runs', type=int, default=8)
    args = parser.parse_args()
    where = measure.Where(args.where == 'lab')
    bench = measure.Bench(args.build, args.kernel, args.image)
    tool = bench.copy(args.build / 'bin/vmlet', 'bin')
    os.environ.update(VMLET_KERNEL=str(bench.kernel), HOME=str(bench.folder), XDG_RUNTIME_DIR=str(bench.folder),
                      XDG_DATA_HOME=str(bench.folder / 'data'))
    bench.folder.chmod(0o700)
    kinds = commands(bench, tool)
    samples = {kind: [] for kind in kinds}
    try:
        for i in range(args.runs + measure.THROWN_AWAY):
            measure.progress(f'run {i + 1} of {args.runs + measure.THROWN_AWAY}')
            for kind, (options, command) in kinds.items():
                samples[kind].append(bench.busy(options, command()))
    finally:
        bench.remove()
    costs = {kind: measure.series([s[where.key] / 1e6 for s in got]) for kind, got in samples.items()}
    print(f'A sandbox from nothing to nothing, {where.unit} ({measure.MEMORY_MIB} MiB, 1 vCPU)')
    measure.table(('', 'median', 'min', 'max', 'spread'),
                  [(kind, f"{s['median']:.2f}", f"{s['min']:.2f}", f"{s['max']:.2f}", f"{s['spread_percent']:.1f} %")
                   for kind, s in costs.items()])
    ratios = {kind: costs[f'{kind}: run true']['median'] / costs[f'{kind}: boot whole']['median'] for kind in ('static', 'image')}
    for kind, ratio in ratios.items():
        print(f'  {kind}: run true / boot whole: {ratio:.3f}')
    print(f"  at most {LIMIT} with a static command: {'holds' if ratios['static'] <= LIMIT else 'does NOT hold'}")
    measure.write_json(pathlib.Path(os.environ['LAB_OUT']) / 'run.json',
                       {'bench': 'run', 'where': args.where, 'unit': where.unit, 'costs': costs, 'ratios': ratios})
    if ratios['static'] > LIMIT:
        raise measure.Failure(f'the ratio is more than {LIMIT}')


if __name__ == '__main__':
    measure.run(main)
