// node interval.mjs < JSON [[milliseconds of a range, points, least interval], …]: print the intervals that Grafana uses.
import { readFileSync } from 'node:fs';
import grafana from './grafana.cjs';

const { dateTime, rangeUtil } = grafana;
const ranges = JSON.parse(readFileSync(0, 'utf8'));
console.log(
  JSON.stringify(
    ranges.map(([range, points, least]) => {
      const from = dateTime('2026-11-24T00:00:00Z');
      const to = dateTime(from.valueOf() + range);
      return rangeUtil.calculateInterval({ from, to, raw: { from, to } }, points, least).intervalMs;
    })
  )
);
