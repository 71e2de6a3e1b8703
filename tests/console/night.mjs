// An operator's night with nothing but the console: orders have failed for two reasons, a worker is gone, and an approval is late.
// Workers are separate processes (worker.mjs). All causes are found from the overview and fixed; clicks and seconds are counted.
//
// CONSOLE: address; DATABASE_URL; CHROMIUM: the browser; PICTURES: where to put pictures; COUNT: how many orders.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { chromium } from 'playwright-core';
import { ACTIONS, Scene } from './scene.mjs';

const { CONSOLE, DATABASE_URL, CHROMIUM, PICTURES, COUNT = '300' } = process.env;
mkdirSync(PICTURES, { recursive: true });
const db = new pg.Client(DATABASE_URL);
await db.connect();
const scene = new Scene(db);

const workers = [];
const work = (name, actions, settings = {}) => {
  const worker = spawn(process.execPath, [fileURLToPath(new URL('worker.mjs', import.meta.url))], {
    env: { ...process.env, NAME: name, ACTIONS: actions.join(), ...settings }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  workers.push(worker);
  return worker;
};
process.on('exit', () => workers.forEach((worker) => worker.kill('SIGKILL')));

// Waits until, according to the figures, nothing is left that those workers do.
const until = async (what, sql) => {
  while (!(await scene.sql(sql)).length) await sleep(200);
  console.log(`${what}: ${((Date.now() - begun) / 1000).toFixed(1)} s`);
};
let begun = Date.now();
await scene.define();
await scene.ask();
await scene.orders(Number(COUNT));
const others = ACTIONS.filter((action) => action !== 'shop.ship');
const day = work('worker-day', others, { FAILING: 'yes' });
const ship = work('worker-ship', ['shop.ship'], { HOLD: '8' });
await new Promise((resolve) => ship.stdout.once('data', resolve));
ship.kill('SIGKILL');
const failures = Math.floor(Number(COUNT) / 20) * 2;
await until(`those that fail of ${COUNT} orders have failed`, 
  `SELECT FROM (SELECT sum(executions) AS n FROM workflow.execution_count WHERE status = 'failed') AS f WHERE n = ${failures}`);
await until('nothing else is left to do', 
  `SELECT FROM (SELECT) AS o WHERE NOT EXISTS (SELECT FROM workflow.queue_summary WHERE action_ref <> 'shop.ship')`);
await until('what the worker left waits for a while', `SELECT FROM workflow.queue_summary WHERE action_ref = 'shop.ship' AND waited > '31 seconds'`);
// Fixes the causes: restarting a worker and phoning the bank need no console.
day.kill('SIGKILL');

const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run'] });
const page = await (await browser.newContext({ viewport: { width: 1360, height: 900 } })).newPage();
page.setDefaultTimeout(120000);
page.on('dialog', (dialog) => dialog.accept());
const text = (selector) => page.locator(selector).innerText();
let clicks = 0;
let steps = 0;
begun = Date.now();
const said = (words) => console.log(`${((Date.now() - begun) / 1000).toFixed(1)} s, ${clicks} clicks: ${words}`);
const look = async (words) => {
  said(words);
  await page.screenshot({ path: `${PICTURES}/night-${++steps}.png` });
};
const click = async (locator) => {
  clicks++;
  await Promise.all([page.waitForNavigation(), locator.click()]);
};
const menu = (name) => page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name, exact: true });

await page.goto(CONSOLE);
assert.match(await text('#causes'), /declined/);
assert.match(await text('#causes'), /out_of_stock/);
assert.match(await text('#tiles'), /late/);
await page.locator('#queues', { hasText: 'no worker serves this action' }).waitFor();
await look('the overview shows two causes, a late approval, and a queue that nobody serves');
// The worker that is gone: its tasks wait, and no worker serves their action. Somebody starts it again.
work('worker-day-2', others, { FAILING: 'no' });
work('worker-ship-2', ['shop.ship'], { FAILING: 'no' });
await page.locator('#queues', { hasText: 'no worker serves this action' }).waitFor({ state: 'detached' });
await look('both workers were started: the queue is served again');

for (const cause of ['declined', 'out_of_stock']) {
  // The newest of them shows what is wrong.
  await click(page.locator('#causes tr', { hasText: cause }).locator('a.id'));
  await page.locator('#graph a.n-failed').waitFor();
  await look(`the newest that is ${cause}: ${(await text('#why')).split('\n')[0].slice(0, 100)}`);
  await click(menu('Overview'));
  await click(page.locator('#causes tr', { hasText: cause }).getByRole('link', { name: 'Act on all' }));
  clicks++;
  await page.locator('#all').getByLabel('Reason').fill(`${cause}: mended`);
  await look(`those that are ${cause}`);
  await click(page.getByRole('button', { name: 'Create a bulk job' }));
  await page.locator('#jobs section').first().locator('.s-completed').waitFor();
  await look(`the job is done: ${(await page.locator('#jobs section .facts').first().innerText()).replace(/\s+/g, ' ')}`);
  await click(menu('Overview'));
}

await click(page.locator('#tiles a', { hasText: 'Open approvals' }));
await click(page.locator('#waits tr', { hasText: 'late' }).getByRole('link').first());
clicks++;
await page.getByLabel('Ship it').check();
await look('the approval that is late');
await click(page.getByRole('button', { name: 'Send the answer' }));
await click(menu('Overview'));
await page.locator('#causes', { hasText: 'Nothing has failed.' }).waitFor();
await page.locator('#tiles a', { hasText: 'Running' }).locator('strong', { hasText: /^0$/ }).waitFor();
await look('nothing has failed, nothing is left: it is green');
assert.equal(await page.locator('.tile.bad').count(), 0);
const seconds = (Date.now() - begun) / 1000;
console.log(`${COUNT} orders: ${clicks} clicks, ${seconds.toFixed(1)} s`);
await browser.close();
await db.end();
process.exit(0);
