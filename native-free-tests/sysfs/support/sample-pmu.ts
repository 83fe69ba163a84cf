/** PMUs that only show themselves. */
import type { Attribute, AttributeGroup, Pmu } from '../../../src/perf/pmu.js'

/** Attribute files with fixed texts, by name. */
export const texts = (files: Record<string, string>): Attribute[] =>
  Object.entries(files).map(([name, text]) => ({ name, show: () => text }))

export function samplePmu(name: string, groups: readonly AttributeGroup[]): Pmu {
  return {
    name,
    task_ctx_nr: 'perf_sw_context',
    capabilities: 0,
    attr_groups: groups,
    event_init: () => undefined,
    add: () => undefined,
    del: () => {},
    start: () => {},
    stop: () => {},
    read: () => {},
  }
}

/** The PMU that devices-msr.txt was recorded from. */
export const msr = (): Pmu =>
  samplePmu('msr', [
    { name: 'events', attrs: texts({ tsc: 'event=0x00\n' }) },
    { name: 'format', attrs: texts({ event: 'config:0-63\n' }) },
  ])

/** A PMU with one of each: side files, a group beside `type`, a caps folder, an attribute with a store. */
export function kvm(): Pmu {
  let threshold = '10\n'
  return samplePmu('kvm', [
    { name: 'format', attrs: texts({ event: 'config:0-7\n' }) },
    {
      name: 'events',
      attrs: texts({
        exits: 'event=0x00\n',
        halt_wait_ns: 'event=0x01\n',
        'halt_wait_ns.unit': 'ns\n',
        'halt_wait_ns.scale': '1\n',
      }),
    },
    { name: 'caps', attrs: texts({ max_events: '256\n' }) },
    {
      attrs: [
        ...texts({ identifier: 'pmufs-kvm\n' }),
        {
          name: 'threshold',
          show: () => threshold,
          store: text => {
            threshold = text
          },
        },
        { name: 'reset', mode: 0o200, show: () => '', store: () => {} },
      ],
    },
  ])
}
