/** `control`, `handles/` and `perf_event_open` by hand and by shell, on the demo guest: what opens, what is refused. */
import { closeSync, openSync } from 'node:fs'
import t from 'tap'
import { POLLHUP, POLLIN } from '../src/abi/fs.js'
import {
  PERF_EVENT_IOC_DISABLE,
  PERF_EVENT_IOC_ENABLE,
  PERF_EVENT_IOC_ID,
  PERF_EVENT_IOC_REFRESH,
} from '../src/abi/perf-event.js'
import { pollfd } from '../src/abi/poll.js'
import { ioctl, poll } from '../src/os/libc.js'
import { type Mounted, mounted } from './support/mounted.js'
import { needs } from './support/needs.js'
import { can, transports } from './support/transports.js'

/** A terminal's ioctl, which no event has. */
const TCGETS = 0x5401

/** A shell function that asks `control` and prints the outcome of the write, then the answer. */
const ask = `ask() { exec 3<>control; printf '%s' "$1" >&3 2>/dev/null; echo "$?"; cat <&3; exec 3>&-; }`

/** The thread of the demo guest's first vCPU. */
const tid = 'TID=$(cat vms/demo/vcpu0/tid)'

const run = (mount: Mounted, script: string) => mount.sh(`${ask}; ${tid}; ${script}`)

/** Requests that are refused, with the errno and what the message must say. $TID is a vCPU's thread. */
const refusals: readonly [request: string, errno: string, message: RegExp][] = [
  // The host PMU's own, in the patch's order.
  ['{"type":"kvm","config":"exits","pid":$TID,"sample_period":1000}', 'EINVAL', /sampl/i],
  [
    '{"type":"kvm","config":"exits","pid":$TID,"sample_type":["BRANCH_STACK"],"branch_sample_type":["ANY"]}',
    'EINVAL',
    /branch/i,
  ],
  ['{"type":"kvm","config":"exits","pid":$TID,"exclude_user":1}', 'EINVAL', /exclude_user/],
  ['{"type":"kvm","config":"exits","pid":$TID,"exclude_kernel":1}', 'EINVAL', /exclude_kernel/],
  ['{"type":"kvm","config":"exits","pid":$TID,"exclude_hv":true}', 'EINVAL', /exclude_hv/],
  ['{"type":"kvm","config":"exits","pid":$TID,"exclude_idle":true}', 'EINVAL', /exclude_idle/],
  ['{"type":"kvm","config":"exits","pid":$TID,"exclude_guest":true}', 'EINVAL', /exclude_guest/],
  ['{"type":"kvm","config":"exits","pid":-1,"cpu":0}', 'EOPNOTSUPP', /thread/],
  ['{"type":"kvm","config":"exits","pid":$TID,"cpu":0}', 'EOPNOTSUPP', /cpu/i],
  ['{"type":"kvm","config":255,"pid":$TID}', 'EINVAL', /event/],
  [
    '{"type":"kvm","config":"exits","pid":1}',
    'EINVAL',
    /pid 1 is not a vCPU thread; vCPU threads are listed in vms/,
  ],
  // The core's.
  ['{"type":"kvm","config":"exits","pid":4194303}', 'ESRCH', /./],
  ['{"type":"kvm","config":"exits","pid":-2}', 'ESRCH', /./],
  ['{"type":"kvm","config":"exits","pid":-1}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"cpu":9999}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"flags":16}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"flags":["PID_CGROUP"]}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"group_fd":999999}', 'EBADF', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"read_format":32}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"sample_type":"0x2000000"}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"size":63}', 'E2BIG', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"sigtrap":true}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"enable_on_exec":true,"remove_on_exec":true}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"use_clockid":true,"clockid":99}', 'EINVAL', /./],
  ['{"type":"kvm","config":"exits","pid":$TID,"aux_output":true}', 'EOPNOTSUPP', /./],
  ['{"type":999,"config":0,"pid":$TID}', 'ENOENT', /./],
  ['{"type":"kwm","config":"exits","pid":$TID}', 'ENOENT', /did you mean "kvm"/],
  // The request's own.
  ['{"type":"kvm","config":"exit","pid":$TID}', 'EINVAL', /did you mean "exits"/],
  ['{"type":"kvm","config":"event=256","pid":$TID}', 'EINVAL', /0 to 255/],
  ['{"type":"kvm","config":"exits","pid":$TID,"exclude_gest":1}', 'EINVAL', /did you mean "exclude_guest"/],
  ['{"type":"kvm","config":"exits"}', 'EINVAL', /"pid" is missing/],
  ['{"type":"kvm","config":"exits","pid":"abc"}', 'EINVAL', /no integer/],
  ['{"type":"kvm","config":9007199254740993,"pid":$TID}', 'EINVAL', /rounded/],
  ['{"type":"kvm","config":-1,"pid":$TID}', 'EINVAL', /out of range/],
  ['{"type":"kvm","config":"exits","pid":$TID,"disabled":2}', 'EINVAL', /no flag/],
  ['{"type":"kvm","config":"exits","pid":$TID,', 'EINVAL', /JSON/],
  ['[]', 'EINVAL', /JSON object/],
  ['nonsense', 'EINVAL', /JSON/],
  ['{"op":"close","handle":4711}', 'ENOENT', /no handle "4711"/],
]

for (const transport of transports) {
  t.test(`control through ${transport}`, needs('root', 'fuse'), async t => {
    const mount = await mounted(t, '--transport', transport, '--source', 'demo')

    t.test('answers each refusal with its errno and says why', async t => {
      for (const [request, errno, message] of refusals) {
        const { stdout } = await run(mount, `ask "${request.replaceAll('"', '\\"')}"`)
        const [status, answer = ''] = stdout.split('\n')
        t.equal(status, '1', `the write fails: ${request}`)
        const { errno: given, error } = JSON.parse(answer)
        t.equal(given, errno, request)
        t.match(error, message, request)
      }
      t.equal((await mount.sh('ls handles')).stdout, '', 'and leaves no handle')
    })

    t.test('opens, reads, stops, resets and closes a numbered handle', async t => {
      const { stdout, stderr } = await run(
        mount,
        `ask '{"type":"kvm","config":"exits","pid":'$TID'}'
         h=$(ls -d handles/*); cat $h/state; a=$(cat $h/count); until [ "$(cat $h/count)" -gt "$a" ]; do sleep 0.05; done; echo growing
         echo 0 > $h/enable; cat $h/state $h/enable; a=$(cat $h/count); sleep 0.2; [ "$(cat $h/count)" = "$a" ] && echo standing
         [ "$(cat $h/time_enabled)" -gt 0 ] && [ "$(cat $h/time_enabled)" = "$(cat $h/time_running)" ] && echo times
         echo 1 > $h/reset; cat $h/count; echo 1 > $h/enable; cat $h/state
         ask '{"op":"close","handle":1}'; ls handles; cat $h/count`,
      )
      t.equal(
        stdout,
        '0\n{"handle":1,"path":"handles/1"}\nactive\ngrowing\noff\n0\nstanding\ntimes\n0\nactive\n0\n{"closed":"1"}',
      )
      t.match(stderr, /No such file or directory/)
    })

    t.test('never uses an id again', async t => {
      const open = `ask '{"type":"kvm","config":"exits","pid":'$TID'}'`
      const { stdout } = await run(
        mount,
        `${open}; ask '{"op":"close","handle":2}'; ${open}; rmdir handles/3; ls handles`,
      )
      t.match(stdout, /"handle":2.*"handle":3/s)
    })

    t.test('takes a named handle: mkdir, attr, read, rmdir', async t => {
      const { stdout, stderr } = await run(
        mount,
        `mkdir handles/boot; cat handles/boot/state
         for f in count event attr id time_enabled time_running enable; do cat handles/boot/$f; done
         echo '{"type":"kvm","config":"exits","pid":'$TID',"read_format":["TOTAL_TIME_ENABLED"]}' > handles/boot/attr; echo "$?"
         cat handles/boot/state; cat handles/boot/attr
         echo '{"type":"kvm","config":"exits","pid":'$TID'}' > handles/boot/attr; echo "$?"
         rmdir handles/boot; ls handles
         mkdir handles/17; echo "$?"; mkdir handles/a; mkdir handles/a; rmdir handles/a; rmdir handles/a`,
      )
      t.match(
        stdout,
        /^unopened\n0\nactive\n\{"type":4096,"size":\d+,"config":0,"read_format":\["TOTAL_TIME_ENABLED"\],"pid":\d+,"cpu":-1,"group_fd":-1,"flags":0\}\n1\n1$/,
      )
      t.equal(stderr.match(/No such device/g)?.length, 7, 'the other files of an unopened handle read ENODEV')
      t.match(stderr, /busy/i)
      t.match(stderr, /cannot create directory .handles\/17.: Invalid argument/)
      t.match(stderr, /cannot create directory .handles\/a.: File exists/)
      t.match(stderr, /failed to remove .handles\/a.: No such file/)
    })

    t.test('refuses a request that is too long, whole', async t => {
      const long = `printf '{"type":"kvm","config":"exits","pid":'$TID',"x":"'`
      const { stdout, stderr } = await run(
        mount,
        `{ ${long}; head -c 1048576 /dev/zero | tr '\\0' a; printf '"}'; } > /tmp/pmufs-long.$$
         dd if=/tmp/pmufs-long.$$ of=control bs=2M conv=notrunc; echo "$?"
         dd if=/tmp/pmufs-long.$$ of=control bs=65537 count=1 conv=notrunc; echo "$?"
         head -c 65536 /tmp/pmufs-long.$$ | dd of=control bs=65536 iflag=fullblock conv=notrunc; echo "$?"
         rm /tmp/pmufs-long.$$; ls handles`,
      )
      t.equal(stdout, '1\n1\n1')
      t.equal(stderr.match(/File too large/g)?.length, 2)
      t.equal(stderr.match(/Invalid argument/g)?.length, 1, '64 KiB are read, and are no JSON')
    })

    t.test('counts a group: one leader, one read', async t => {
      const { stdout } = await run(
        mount,
        `exec 3<>control
         printf '%s' '{"type":"kvm","config":"exits","pid":'$TID',"read_format":["GROUP","ID"]}' >&3; cat <&3
         leader=$(ls handles | tail -1)
         printf '%s' '{"type":"kvm","config":"insn_emulation","pid":'$TID',"group_fd":'$leader'}' >&3; cat <&3
         head -c 40 handles/$leader/event | od -An -v -td8 -w8 | tr -s ' \\n' ' '
         cat handles/*/id | tr '\\n' ' '
         rmdir handles/*`,
      )
      const words = stdout.split('\n').at(-1)?.trim().split(' ').map(Number) ?? []
      const [nr, , leaderId, , siblingId, ...ids] = words
      t.equal(nr, 2)
      t.strictSame([leaderId, siblingId], ids)
    })

    t.test('perf_event_open is the event once a request was written', async t => {
      const { stdout, stderr } = await run(
        mount,
        `exec 4<>perf_event_open
         head -c 8 <&4; printf x >&4; head -c 400 <&4
         printf '%s' '{"type":"kvm","config":"exits","pid":'$TID'}' >&4; echo "$?"
         value() { head -c 8 <&4 | od -An -td8; }; a=$(value); until [ "$(value)" -gt "$a" ]; do sleep 0.05; done; echo growing
         head -c 7 <&4; printf x >&4; ls handles`,
      )
      t.match(stdout, /^\{"errno":"EINVAL","error":"Cannot read the request as JSON.*\}\n0\ngrowing$/)
      t.match(stderr, /No such device/)
      t.match(stderr, /No space left/)
      t.match(stderr, /Invalid argument/)
    })

    t.test(
      'an event descriptor takes perf ioctls and poll, as far as the transport carries them',
      async t => {
        await run(
          mount,
          `mkdir handles/i; echo '{"type":"kvm","config":"exits","pid":'$TID',"disabled":1}' > handles/i/attr`,
        )
        const fd = openSync(`${mount.dir}/handles/i/event`, 'r+')
        t.teardown(() => closeSync(fd))
        const state = async () => (await mount.sh('cat handles/i/state')).stdout
        const id = new BigUint64Array(1)
        const pollfds = pollfd.encode({ fd, events: POLLIN })
        if (!can(transport, 'ioctl')) {
          t.throws(() => ioctl(fd, PERF_EVENT_IOC_ENABLE, 0), { code: 'ENOTTY' })
          t.equal(await state(), 'off')
          return
        }
        ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)
        t.equal(await state(), 'active')
        ioctl(fd, PERF_EVENT_IOC_DISABLE, 1)
        t.equal(await state(), 'off')
        ioctl(fd, PERF_EVENT_IOC_ID, id)
        t.equal(String(id[0]), (await mount.sh('cat handles/i/id')).stdout)
        t.equal(
          (id[0] ?? 0n) >> 32n,
          BigInt(mount.server.pid ?? 0),
          'far from ids of kernel events and of other mounts',
        )
        t.throws(() => ioctl(fd, PERF_EVENT_IOC_REFRESH, 1), { code: 'EINVAL' })
        t.throws(() => ioctl(fd, TCGETS, id), { code: 'ENOTTY' })
        t.equal(poll(pollfds, 1, 0), 1, 'as on a kernel event without a buffer')
        t.equal(pollfd.decode(pollfds).revents, POLLHUP)
        await mount.sh('rmdir handles/i')
      },
    )

    t.test('belongs to the mounting user', async t => {
      const { stdout } = await mount.sh(
        'stat -c "%A %U %n" control perf_event_open handles; ls -l control | cut -c1-10',
      )
      t.equal(
        stdout,
        '-rw------- root control\n-rw------- root perf_event_open\ndrwx------ root handles\n-rw-------',
      )
    })
  })
}
