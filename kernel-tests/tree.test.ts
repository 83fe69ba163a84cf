/** The mounted sysfs tree beside the kernel's own: what cat, ls, find, stat, tree, grep and writes give. */
import t from 'tap'
import { type Mounted, mounted, shell } from './support/mounted.js'
import { needs } from './support/needs.js'
import { transports } from './support/transports.js'

const real = '/sys/devices/msr'

/** Runs one script in the real PMU's folder and in ours; what names the folders is made alike. */
async function both(mount: Mounted, script: string): Promise<{ real: string; ours: string }> {
  const run = async (folder: string, pmu: string) => {
    const { stdout, stderr, exitCode } = await shell(script, folder)
    return `${stdout}\n${stderr}\n${exitCode}`.replaceAll(folder, 'DIR').replaceAll(pmu, 'PMU')
  }
  return { real: await run(real, 'msr'), ours: await run(`${mount.dir}/sys/devices/kvm`, 'kvm') }
}

/** Scripts whose output must not differ. Each leaves the folder as it was. */
const alike: Record<string, string> = {
  'stat of every file but events and formats':
    'find . -mindepth 1 ! -path "./events/*" ! -path "./format/*" -printf "%p %y %m %s %n %l %U %G\\n" | sort',
  'stat of the folder itself': 'stat -c "%A %F %h %s %B %o" .',
  'ls -l of a folder': "ls -l power | awk '{ print $1, $2, $3, $4, $5, $9 }'",
  'stat of an event and of a format': 'stat -c "%A %s %b %h %F" events/* format/* | sort -u',
  "cat of the core's files": 'cat perf_event_mux_interval_ms uevent power/control power/runtime_status',
  'cat of a file that cannot be read': 'cat power/autosuspend_delay_ms',
  'cat of a folder': 'cat events',
  'text ends with one newline': 'tail -c 1 type | od -An -c; wc -l < type',
  'a write to a file without store': 'echo 1 > type',
  'appending to a file without store': 'echo 1 >> type',
  'opening it for reading and writing': 'exec 3<>type',
  'a write to a folder': 'echo 1 > events',
  'a new file': 'echo 1 > new',
  'touch of a new file': 'touch new',
  'a new folder': 'mkdir new',
  'a new link': 'ln -s type new',
  'a hard link': 'ln type new',
  'removing a file': 'rm -f type',
  'removing a folder': 'rmdir events',
  'renaming a file': 'mv type new',
  'removing everything': 'rm -rf * 2>&1 | sed "s/.*: //" | sort -u; ls | wc -l',
  'truncating to a size': 'truncate -s 100 perf_event_mux_interval_ms; stat -c %s perf_event_mux_interval_ms',
  'chmod is remembered': 'chmod 600 type; stat -c %a type; echo 1 > type; chmod 444 type; stat -c %a type',
  'touch sets the time': 'touch -d 2001-02-03 type; stat -c %Y type; touch type',
  'a read at an odd offset': 'dd if=perf_event_mux_interval_ms bs=1 skip=1 status=none | od -An -c',
  'a read behind the end':
    'dd if=type bs=1 skip=100 status=none | wc -c; dd if=type bs=1 skip=5000 status=none | wc -c',
  'a read byte by byte': 'dd if=perf_event_mux_interval_ms bs=1 status=none',
  'uevent takes the actions':
    'for word in add change remove nonsense "" ; do echo "$word" > uevent; echo "$?"; done',
  'a missing file': 'cat nope; stat nope',
  'a path through a file': 'cat type/nope',
  'a name that is too long': 'cat "$(printf "%300s" x)" 2>&1 | sed "s/.*: //"',
  'access(2) as root':
    'for mode in r w x; do for file in type perf_event_mux_interval_ms uevent events; do test -$mode $file; echo "$mode $file $?"; done; done',
}

const interval = 'perf_event_mux_interval_ms'
const writes = [
  '7',
  ' 7',
  '7 ',
  '0x10',
  '010',
  '+5',
  '0',
  '-1',
  '',
  'x',
  '7\\n',
  '7\\n\\n',
  '2147483647',
  '2147483648',
  '99999999999999999999',
  '1 2',
]

for (const transport of transports) {
  t.test(`the tree of ${transport} is a PMU's`, needs('root', 'fuse', 'msr', 'tree', 'perf'), async t => {
    const mount = await mounted(t, '--transport', transport, '--source', 'demo')

    for (const [name, script] of Object.entries(alike)) {
      const { real, ours } = await both(mount, script)
      t.equal(ours, real, name)
    }

    for (const text of writes) {
      const script = `printf '${text}' > ${interval}; echo "$?"; cat ${interval}; echo 4 > ${interval}`
      const { real, ours } = await both(mount, script)
      t.equal(ours, real, `${interval} takes "${text}" as the kernel does`)
    }

    t.test('links lead where those of the real tree lead', async t => {
      const { stdout } = await mount.sh(
        'readlink sys/bus/event_source/devices/kvm sys/devices/kvm/subsystem; cat sys/bus/event_source/devices/kvm/type',
      )
      t.equal(stdout, '../../../devices/kvm\n../../bus/event_source\n4096')
      const { stdout: msr } = await mount.sh(
        'diff -r sys/bus/event_source/devices/msr/ /sys/bus/event_source/devices/msr/ 2>&1 | grep -v autosuspend_delay_ms',
      )
      t.equal(msr, '', "the kernel's own PMUs are there")
      t.equal((await mount.sh('ls sys/devices/system/cpu/online')).exitCode, 0)
    })

    t.test('find, tree, ls -lR and grep -r go through all of it', async t => {
      for (const script of [
        'find sys/devices/kvm -type f | wc -l',
        'tree sys/devices/kvm',
        'ls -lR sys vms handles',
        'find . -xdev -newermt 2000-01-01 > /dev/null',
      ]) {
        const { exitCode, stderr } = await mount.sh(script)
        t.same({ exitCode, stderr }, { exitCode: 0, stderr: '' }, script)
      }
      const { stdout } = await mount.sh('grep -rs . sys/devices/kvm')
      t.match(stdout, /^sys\/devices\/kvm\/events\/exits:event=0x00$/m)
      t.match(stdout, /^sys\/devices\/kvm\/format\/event:config:0-7$/m)
      t.match(stdout, /^sys\/devices\/kvm\/type:4096$/m)
    })

    t.test('perf list shows every event', async t => {
      const { stdout } = await mount.sh(
        'SYSFS_PATH=$MNT/sys perf list --no-desc pmu 2>/dev/null | grep -o "kvm/[a-z0-9_]*/" | sort',
      )
      const { stdout: events } = await mount.sh(
        'ls sys/devices/kvm/events | grep -v "[.]" | sed "s,.*,kvm/&/," | sort',
      )
      t.equal(stdout, events)
      t.match(stdout, /^kvm\/exits\/$/m)
    })

    t.test('rm -rf mnt/* harms nothing', async t => {
      await mount.sh('rm -rf "$MNT"/*')
      t.equal((await mount.sh('cat sys/devices/kvm/events/exits')).stdout, 'event=0x00')
      t.equal((await mount.sh('ls')).stdout, 'control\nhandles\nperf_event_open\nsys\nvms')
    })

    t.equal(mount.log().match(/Error|EIO/), null, 'the server has met no defect')
  })
}
