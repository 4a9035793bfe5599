// node check.mjs [--json] FILE…: print the faults of dashboards; exit code 1 where there are any.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { faults } from './faults.mjs';

const UIDS = ['stocks-market', 'stocks-watchlist', 'stocks-pipeline'];

const files = process.argv.slice(2).filter((argument) => argument !== '--json');
const found = Object.fromEntries(
  files.map((file) => [basename(file), faults(JSON.parse(readFileSync(file, 'utf8')), UIDS)])
);
if (process.argv.includes('--json')) {
  console.log(JSON.stringify(found));
} else {
  for (const [file, list] of Object.entries(found)) {
    console.log([`${file}: ${list.length === 0 ? 'sound' : 'faults:'}`, ...list].join('\n  '));
  }
}
process.exitCode = Object.values(found).some((list) => list.length > 0) ? 1 : 0;
