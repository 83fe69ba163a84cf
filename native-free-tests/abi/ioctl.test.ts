import t from 'tap'
import { _IO, _IOC_DIR, _IOC_SIZE, _IOC_TYPE, _IOR, _IOW, _IOWR } from '../../src/abi/ioctl.js'

t.test('command numbers are those of the kernel headers', async t => {
  t.equal(_IO(0x24, 0), 0x2400, 'PERF_EVENT_IOC_ENABLE')
  t.equal(_IOW(0x24, 4, 8), 0x4008_2404, 'PERF_EVENT_IOC_PERIOD')
  t.equal(_IOR(0x24, 7, 8), 0x8008_2407, 'PERF_EVENT_IOC_ID')
  t.equal(_IOWR(0x21, 0, 80), 0xc050_2100, 'SECCOMP_IOCTL_NOTIF_RECV')
})

t.test('a command carries direction, type and size', async t => {
  const cmd = _IOWR(0x21, 1, 24)
  t.equal(_IOC_SIZE(cmd), 24)
  t.equal(_IOC_TYPE(cmd), 0x21)
  const directions = [_IO, _IOW, _IOR, _IOWR].map(make => _IOC_DIR(make(0x24, 1, 8)))
  t.strictSame(directions, [
    { isWrite: false, isRead: false },
    { isWrite: true, isRead: false },
    { isWrite: false, isRead: true },
    { isWrite: true, isRead: true },
  ])
})
