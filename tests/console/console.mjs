// Tests the console in a browser: each screen, each button, concurrent changes, and what must be refused.
//
// CONSOLE: its address; READER, ROLE, GUARDED: those of a read-only one, one whose role may only read, and one with a token; DATABASE_URL; PICTURES: where to put
// pictures; CHROMIUM: the browser; COUNT: how many orders there are.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import pg from 'pg';
import { chromium } from 'playwright-core';
import { HOSTILE, Scene } from './scene.mjs';

const { CONSOLE, READER, ROLE, GUARDED, TOKEN, DATABASE_URL, PICTURES, CHROMIUM, COUNT = '200' } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
mkdirSync(PICTURES, { recursive: true });

const db = new pg.Client(DATABASE_URL);
await db.connect();
const scene = new Scene(db);
await scene.set(Number(COUNT));

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});
const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: 'light', bypassCSP: false });
const page = await context.newPage();
page.setDefaultTimeout(60000);
const troubles = [];
page.on('pageerror', (error) => troubles.push(`${page.url()}: ${error}`));
page.on('console', (message) => {
  if (message.type() === 'error' && !/4[0-9][0-9]|503|ERR_CONNECTION/.test(message.text())) troubles.push(`${page.url()}: ${message.text()}`);
});
page.on('request', (request) => {
  if (!request.url().startsWith('http://127.0.0.1') && !request.url().startsWith('data:')) troubles.push(`asks ${request.url()}`);
});
const asked = [];
page.on('dialog', (dialog) => {
  asked.push(dialog.message());
  return dialog.accept();
});

const go = async (path, base = CONSOLE) => {
  const answer = await page.goto(base + path);
  return answer;
};
const text = (selector) => page.locator(selector).innerText();
const notice = () => text('main > .notice:not(#away)');
// A page with its notice: the result of a button.
const press = async (button) => {
  await Promise.all([page.waitForNavigation(), button.click()]);
  return notice();
};
const events = async (id, kind) => scene.sql('SELECT kind, message, author FROM workflow_list_events($1) WHERE kind = $2 ORDER BY id DESC', [id, kind]);

// Accessibility and pictures of a screen, light and dark.
const picture = async (name) => {
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.screenshot({ path: `${PICTURES}/${name}-${colorScheme}.png`, fullPage: false });
    // Through the debugger, because the page's policy would refuse a script in it.
    const session = await context.newCDPSession(page);
    await session.send('Runtime.evaluate', { expression: axe });
    const { result } = await session.send('Runtime.evaluate', { awaitPromise: true, returnByValue: true, expression: `
      axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) =>
        id + ': ' + nodes.slice(0, 3).map(({ html, failureSummary }) => html + ' ' + failureSummary).join(' | ')))` });
    await session.detach();
    const found = result.value;
    assert.deepEqual(found, [], `${name}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: 'light' });
};

// Keeps a page from seeing changes in the meantime.
const blind = (page) => page.route('**/*', (route) => (route.request().headers()['x-live'] ? route.abort('connectionrefused') : route.continue()));

let failed = 0;
const test = async (name, run) => {
  const begun = Date.now();
  try {
    await run();
    assert.deepEqual(troubles.splice(0), []);
    console.log(`ok ${name} (${Date.now() - begun} ms)`);
  } catch (error) {
    failed++;
    await page.unroute('**/*');
    await page.screenshot({ path: `${PICTURES}/failed-${failed}.png`, fullPage: true }).catch(() => {});
    console.log(`FAILED ${name}: ${error.message}\n${(error.stack || '').split('\n').slice(1, 6).join('\n')}\n  at ${page.url()}, see ${PICTURES}/failed-${failed}.png`);
    troubles.splice(0);
  }
};

await test('the overview tells what fails and why, who is gone, and what is late', async () => {
  await go('/');
  assert.match(await text('#causes'), /declined[\s\S]*the bank declines the card/);
  assert.match(await text('#causes'), /out_of_stock/);
  assert.match(await text('#causes thead'), /It started\s+It failed/);
  assert.match(await text('#tiles'), /1 late/);
  assert.match(await text('#held'), /held for another 1 h, \d+ min|held for another 2 h/);
  assert.match(await text('#workers'), /worker-gone/);
  assert.match(await text('#held'), /shop\.ship/);
  await picture('overview');
});

await test('hostile text is text everywhere', async () => {
  for (const path of ['/', '/definitions', '/definitions/shop.hostile', '/executions', `/executions/${scene.hostile}`, '/approvals', '/executions?text=%3Cscript%3E', `/executions?workflow=${encodeURIComponent(HOSTILE)}`, `/executions/${encodeURIComponent(HOSTILE)}`, `/executions?text=${'x'.repeat(10000)}`]) {
    await go(path);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path.slice(0, 60)} is too wide`);
    assert.ok(!(await page.title()).includes('owned'), path);
    assert.equal(await page.locator('main img, main script').count(), 0, path);
  }
});

await test('a search is in the address and pages by a cursor', async () => {
  await go('/executions');
  await page.getByLabel('Workflow').fill('shop.order');
  await page.getByLabel('completed').check();
  await Promise.all([page.waitForNavigation(), page.getByRole('button', { name: 'Search' }).click()]);
  assert.match(page.url(), /workflow=shop\.order/);
  assert.equal(await page.locator('tbody tr').count(), 50);
  const first = await text('tbody tr a.id >> nth=0');
  await Promise.all([page.waitForNavigation(), page.getByRole('link', { name: 'Older' }).click()]);
  assert.notEqual(await text('tbody tr a.id >> nth=0'), first);
  await go('/executions?attributes=%7B%22tenant%22%3A%22t2%22%7D&status=failed');
  assert.ok((await page.locator('tbody tr').count()) > 0);
  await picture('executions');
  await go('/executions?attributes=nonsense');
  assert.match(await text('[role=alert]'), /attributes is not JSON/);
  await go('/executions?after=nonsense');
  assert.match(await text('[role=alert]'), /WF613/);
});

let order;
await test('an execution is shown with its graph, reasons, timeline and data', async () => {
  [{ id: order }] = await scene.sql(`SELECT execution::text AS id FROM workflow_search(workflow => 'shop.order', error_code => 'out_of_stock') LIMIT 1`);
  await go(`/executions/${order}`);
  assert.match(await text('#why'), /fix the cause/);
  assert.match(await page.locator('#graph a.node', { hasText: 'pack' }).first().getAttribute('class'), /n-failed/);
  assert.match(await text('#graph'), /1 of 2 done, 1 failed/);
  assert.match(await text('#graph .legend'), /completed\s+failed\s+not reached$/);
  const dashes = (status) => page.locator(`#graph .n-${status} rect`).first().evaluate((rect) => getComputedStyle(rect).strokeDasharray);
  assert.equal(await dashes('untouched'), 'none');
  await picture('execution');
  const before = await page.locator('#graph svg').getAttribute('viewBox');
  await page.getByRole('button', { name: 'Zoom in' }).click();
  assert.notEqual(await page.locator('#graph svg').getAttribute('viewBox'), before);
  await page.getByRole('button', { name: 'Fit' }).click();
  assert.equal(await page.locator('#graph svg').getAttribute('viewBox'), before);
  await Promise.all([page.waitForNavigation(), page.locator('#graph a.node', { hasText: 'pack' }).first().click()]);
  assert.equal(await page.locator('#tasks tbody tr').count(), 2);
  await Promise.all([page.waitForNavigation(), page.locator('#tasks .chip', { hasText: 'failed' }).click()]);
  await Promise.all([page.waitForNavigation(), page.locator('#tasks tbody a').first().click()]);
  assert.match(await text('#error'), /out_of_stock/);
  await picture('task');
});

await test('secrets are masked, also in what is downloaded', async () => {
  await go(`/executions/${order}`);
  assert.ok(!(await page.content()).includes('4111-2222'));
  const download = await (await context.request.get(`${CONSOLE}/executions/${order}/data/parameters`)).text();
  assert.match(download, /••••/);
  await go(`/executions/${scene.late}`);
  assert.ok(!(await page.content()).includes('pin-1234'), 'a hint tells the input of the task that waits');
});

await test('buttons do what they say, in the name of the person', async () => {
  await go(`/executions/${scene.late}`);
  assert.match(await press(page.getByRole('button', { name: 'Pause' })), /^execution \d+ was paused/);
  assert.match(await text('#head'), /paused/);
  assert.match((await events(scene.late, 'pause'))[0].author, /^Maria \(role /);
  assert.match(await press(page.locator('#why').getByRole('button', { name: 'Resume' })), /^execution \d+ was resumed$/);
  await page.locator('#send-signal summary').click();
  await page.locator('#send-signal').getByLabel('Signal').fill('unheard');
  assert.match(await press(page.getByRole('button', { name: 'Send' })), /WF611/);
});

await test('the second of two people who press the same button is told so', async () => {
  const id = await scene.start('shop.hostile', {});
  const other = await context.newPage();
  other.on('dialog', (dialog) => dialog.accept());
  await blind(other);
  await other.goto(`${CONSOLE}/executions/${id}`);
  await go(`/executions/${id}`);
  await press(page.getByRole('button', { name: 'Cancel', exact: true }));
  await Promise.all([other.waitForNavigation(), other.getByRole('button', { name: 'Pause' }).click()]);
  assert.match(await other.locator('main > .notice:not(#away)').innerText(), /WF611/);
  await other.close();
});

await test('what changes is shown by itself', async () => {
  const id = await scene.start('shop.hostile', {});
  await go(`/executions/${id}`);
  await page.getByRole('button', { name: 'Zoom in' }).click();
  const view = await page.locator('#graph svg').getAttribute('viewBox');
  await scene.sql(`SELECT workflow_pause($1, 'somebody else')`, [id]);
  await page.locator('#head .tag', { hasText: 'somebody else' }).waitFor();
  await scene.sql(`SELECT workflow_resume($1)`, [id]);
  await scene.sql('SELECT workflow_signal($1, $2)', [id, HOSTILE]);
  await page.locator('#head .s-completed').waitFor();
  assert.equal(await page.locator('#graph svg').getAttribute('viewBox'), view, 'the zoom is kept');
  await scene.sql('SELECT workflow_erase($1)', [id]);
  await page.locator('#away', { hasText: 'there is no execution' }).waitFor();
});

await test('an approval is a form made from its schema, and is given once', async () => {
  await go('/approvals');
  const row = await page.locator('#waits tr', { hasText: 'shop.order' }).first().innerText();
  assert.match(row, /An order, from the card to the parcel[\s\S]*"question":"Ship order 1\?"[\s\S]*parameters {[^}]*"order":1[\s\S]*for another \d+ min/);
  assert.match(row, /"pin":"••••••"/);
  await picture('approvals');
  await Promise.all([page.waitForNavigation(), page.locator('tr', { hasText: 'shop.order' }).getByRole('link').first().click()]);
  assert.match(await text('#about'), /Parameters of execution \d+[\s\S]*"order": 1/);
  await page.getByLabel('Ship it').check();
  await page.getByLabel('note').fill('urgent');
  await picture('approval');
  const address = page.url();
  assert.match(await press(page.getByRole('button', { name: 'Send the answer' })), /was answered/);
  const [{ result }] = await scene.sql(`SELECT result FROM workflow_list_tasks($1) WHERE task_name = 'approve'`, [scene.late]);
  assert.deepEqual(result, { ok: true, level: 'standard', note: 'urgent' });
  await page.goto(address);
  assert.match(await text('main'), /is no longer waiting/);
});

await test('a hint whose time is over is refused, and says so', async () => {
  const [{ id }] = await scene.sql(`SELECT execution::text AS id FROM workflow_search(error_code => 'declined') LIMIT 1`);
  await blind(page);
  await go(`/executions/${id}`);
  await scene.sql('SELECT workflow_rerun($1)', [id]);
  assert.match(await press(page.locator('#why').getByRole('button', { name: 'Rerun' })), /WF612/);
  await page.unroute('**/*');
});

await test('nobody is told to do again what somebody else has completed', async () => {
  await scene.sql(`SELECT workflow_register_action('shop.do_once')`);
  await scene.sql(`SELECT workflow_define('{ref: shop.once, label: Once, version: 1.0.0, tasks: [{name: a, action: shop.do_once}]}')`);
  const id = await scene.start('shop.once', {});
  await scene.sql(`SELECT workflow_fail(task, lease_token, '{"type": "away", "message": "a\u202eb"}') FROM workflow_claim('worker-1', 1, '{shop.do_once}')`);
  await blind(page);
  await go(`/executions/${id}`);
  assert.match(await text('#why .hint'), /fix the cause, then rerun it: it continues at the tasks that failed/);
  assert.doesNotMatch(await text('#why'), /SELECT/);
  assert.equal(await page.locator('#head .error > bdi', { hasText: 'a\u202eb' }).count(), 1, 'it is isolated');
  assert.doesNotMatch(await text('#events'), /"message":"a\u202e/);
  // No task is chosen for the user.
  await page.locator('#rerun-from summary').click();
  assert.equal(await page.locator('#rerun-from').getByLabel('Task').inputValue(), '');
  await scene.sql('SELECT workflow_rerun($1)', [id]);
  await scene.work('worker-1', ['shop.do_once']);
  const told = await press(page.locator('#why').getByRole('button', { name: 'Rerun' }));
  assert.match(told, /has completed\. Nothing is left to do\./);
  await page.unroute('**/*');
  // What has completed cannot be resolved by hand.
  await Promise.all([page.waitForNavigation(), page.locator('#tasks tbody a').first().click()]);
  assert.equal(await page.locator('#resolve').count(), 0);
});

// Whether an element has the focus and can be seen.
const isSeen = (selector) => page.locator(selector).evaluate((element) => {
  const { top, bottom } = element.getBoundingClientRect();
  return document.activeElement === element && top >= 0 && bottom <= innerHeight;
});

await test('the result of an action on a long list is seen', async () => {
  await go('/executions?workflow=shop.order&status=failed&code=declined');
  await page.locator('tbody tr').last().scrollIntoViewIfNeeded();
  await page.getByRole('button', { name: 'Rerun' }).scrollIntoViewIfNeeded();
  asked.length = 0;
  assert.match(await press(page.getByRole('button', { name: 'Rerun' })), /no execution is selected/);
  assert.deepEqual(asked, [], 'nothing is asked about nothing');
  await page.waitForLoadState();
  assert.ok(await isSeen('[data-refused] > .trouble'));
  await page.locator('tbody input[type=checkbox]').last().check();
  await page.getByRole('button', { name: 'Pause' }).scrollIntoViewIfNeeded();
  assert.match(await press(page.getByRole('button', { name: 'Pause' })), /1 refused/);
  assert.ok(await isSeen('[data-refused] > .trouble'));
  await page.locator('tbody input[type=checkbox]').last().check();
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  asked.length = 0;
  assert.match(await press(page.getByRole('button', { name: 'Rerun' })), /rerun: 1 done/);
  assert.deepEqual(asked, ['Rerun 1 execution?']);
  await page.waitForLoadState();
  assert.ok(await isSeen('main > .notice:not(#away)'));
});

await test('the selected are controlled together', async () => {
  scene.failing = false;
  await go('/executions?workflow=shop.order&status=failed&code=out_of_stock');
  const number = await page.locator('input[name=execution]').count();
  await page.getByLabel('All on this page').check();
  await page.getByLabel('Reason', { exact: true }).first().fill('there is stock again');
  await page.getByLabel('Reason', { exact: true }).first().press('Enter');
  assert.equal(await page.locator('input[name=execution]:checked').count(), number, 'Enter does nothing');
  assert.match(await press(page.getByRole('button', { name: 'Rerun' })), new RegExp(`rerun: ${number} done`));
  await scene.work('worker-4', ['shop.pack', 'shop.mail']);
});

await test('a bulk job does it to all that match', async () => {
  await go('/');
  await Promise.all([page.waitForNavigation(), page.locator('#causes tr', { hasText: 'declined' }).getByRole('link', { name: 'Act on all' }).click()]);
  await page.locator('#all').getByLabel('Reason').fill('the bank is back');
  assert.match(await text('#all'), /error code or type declined[\s\S]*status failed, timeout or abandoned[\s\S]*completed tasks keep their results/);
  assert.doesNotMatch(await text('#all'), /{"/);
  const [{ count }] = await scene.sql(`SELECT count(*) FROM workflow_search(workflow => 'shop.order', error_code => 'declined', statuses => '{failed}', max_rows => 10000)`);
  asked.length = 0;
  assert.match(await press(page.getByRole('button', { name: 'Create a bulk job' })), /job \d+ has been created/);
  await scene.sql('SELECT workflow_tick()');
  await scene.sql('SELECT workflow_tick()');
  await page.locator('#jobs .s-completed').waitFor();
  assert.deepEqual(asked, [`Rerun ${count} execution${count === '1' ? '' : 's'}?`]);
  assert.match(await text('#jobs'), /Maria \(role/);
  assert.match(await text('#jobs'), /0 refused[\s\S]*error code or type declined[\s\S]*reason the bank is back/);
  await picture('jobs');
  await Promise.all([page.waitForNavigation(), page.getByRole('link', { name: 'Executions that match now' }).click()]);
  assert.match(await text('#found'), /No execution matches/);
  assert.equal((await text('#all')).trim(), '', 'nothing is offered for nothing');
  await go('/executions?workflow=shop.order&status=running');
  assert.equal(await page.locator('#all').getByLabel('Do').inputValue(), '');
  assert.doesNotMatch(await text('#all'), /Rerun/);
});

await test('limits and holds are changed', async () => {
  await go('/limits');
  await picture('limits');
  await page.locator('#set-bank summary').click();
  await page.locator('#set-bank').getByLabel('At most running').fill('9');
  assert.match(await press(page.locator('#set-bank').getByRole('button', { name: 'Set' })), /limit bank is set/);
  assert.match(await press(page.locator('#holds').getByRole('button', { name: 'Release' }).first()), /1 ended/);
  await page.locator('#new-hold summary').click();
  await page.locator('#new-hold').getByLabel('Name').fill('shop.mail');
  assert.match(await press(page.getByRole('button', { name: 'Hold', exact: true })), /held until/);
  const [{ author }] = await scene.sql(`SELECT author FROM workflow_list_holds() WHERE name = 'shop.mail'`);
  assert.match(author, /^Maria \(role/);
  await scene.sql(`SELECT workflow_release('shop.mail', target => 'action')`);
});

await test('a form that is refused keeps what was typed, with what is wrong beside it', async () => {
  // Parameters that the schema refuses, in several ways.
  await go('/definitions/shop.order');
  await page.getByLabel('Parameters (JSON)').fill('{"order": "x", "items": 1, "approve": "no", "card": []}');
  await page.getByLabel('Idempotency key').fill('mine');
  assert.match(await press(page.getByRole('button', { name: 'Start' })), /WF601[\s\S]*and 1 more/);
  assert.match(page.url(), /\/definitions\/shop\.order$/, 'its address is that of the page');
  for (const path of ['/order', '/items', '/approve', '/card']) assert.match(await text('#start .trouble'), new RegExp(path));
  assert.equal(await page.getByLabel('Idempotency key').inputValue(), 'mine');
  await picture('refused');
  // Changes in the meantime do not remove the input.
  const looked = page.waitForResponse((answer) => answer.request().headers()['x-live'] !== undefined && answer.status() === 200);
  await scene.sql('SELECT workflow_start($1, $2)', ['shop.order', { order: 5 }]);
  await looked;
  assert.match(await page.getByLabel('Parameters (JSON)').inputValue(), /"items": 1/);
  await page.getByLabel('Parameters (JSON)').fill('{"order": 1000001}');
  assert.match(await press(page.getByRole('button', { name: 'Start' })), /has started/);

  // A signal to an execution.
  const id = await scene.start('shop.hostile', {});
  await go(`/executions/${id}`);
  await page.locator('#send-signal summary').click();
  await page.locator('#send-signal').getByLabel('Signal').fill('approved "now"');
  await page.locator('#send-signal').getByLabel('Payload').fill('{"ok": tru');
  assert.match(await press(page.getByRole('button', { name: 'Send' })), /payload is not JSON/);
  assert.equal(await page.locator('#send-signal').getByLabel('Signal').inputValue(), 'approved "now"');
  assert.equal(await page.locator('#send-signal').getByLabel('Payload').inputValue(), '{"ok": tru');
  assert.match(await text('#send-signal .trouble'), /payload is not JSON/);

  // An approval whose schema the answer does not satisfy.
  const asking = await scene.start('shop.order', { order: 3, approve: true });
  await scene.work('worker-1', ['shop.reserve', 'shop.charge']);
  await go(`/approvals?execution=${asking}`);
  await Promise.all([page.waitForNavigation(), page.locator('#waits tbody a').first().click()]);
  await page.getByLabel('note').fill('<b>soon</b>');
  await page.getByLabel('level').selectOption({ label: 'express' });
  await page.getByLabel('discount').evaluate((field) => { field.removeAttribute('min'); field.value = '-1'; });
  assert.match(await press(page.getByRole('button', { name: 'Send the answer' })), /WF\d+/);
  assert.match(await text('#answer .trouble'), /discount/);
  assert.deepEqual([await page.getByLabel('note').inputValue(), await page.getByLabel('discount').inputValue()], ['<b>soon</b>', '-1']);
  assert.equal(await page.getByLabel('level').inputValue(), '"express"');
  await page.getByLabel('discount').fill('1');
  assert.match(await press(page.getByRole('button', { name: 'Send the answer' })), /was answered/);
  const [{ result }] = await scene.sql(`SELECT result FROM workflow_list_tasks($1) WHERE task_name = 'approve'`, [asking]);
  assert.deepEqual(result, { ok: false, level: 'express', note: '<b>soon</b>', discount: 1 });

  // A job, and an action on selected executions, from a search.
  await go('/executions?workflow=shop.hostile');
  await page.locator('tbody input[type=checkbox]').first().check();
  await page.locator('#signal-selected summary').click();
  await page.locator('#signal-selected').getByLabel('Signal').fill('x');
  await page.locator('#signal-selected').getByLabel('Payload').fill('nonsense');
  await press(page.locator('#signal-selected').getByRole('button', { name: 'Send' }));
  assert.equal(await page.locator('input[name=execution]:checked').count(), 1);
  assert.equal(await page.locator('#signal-selected').getByLabel('Payload').inputValue(), 'nonsense');
  assert.match(page.url(), /workflow=shop\.hostile$/);
});

await test('what is held is said before, and no name is ignored', async () => {
  await go('/limits');
  await page.locator('#new-hold summary').click();
  await page.getByLabel('What').selectOption('everything');
  await page.locator('#new-hold').getByLabel('Name').fill('shop.mail');
  asked.length = 0;
  assert.match(await press(page.getByRole('button', { name: 'Hold', exact: true })), /everything has no name/);
  assert.deepEqual(asked, ['Hold everything shop.mail for 30 minutes?']);
  assert.equal((await scene.sql(`SELECT FROM workflow_list_holds() WHERE target = 'everything'`)).length, 0);
  assert.equal(await page.locator('#new-hold').getByLabel('Name').inputValue(), 'shop.mail');
  await page.locator('#new-hold').getByLabel('Name').fill('');
  assert.match(await press(page.getByRole('button', { name: 'Hold', exact: true })), /^everything: held until/);
  assert.match(await press(page.locator('#holds tr', { hasText: 'everything' }).getByRole('button', { name: 'Release' })), /1 ended/);
});

await test('an approval without a schema sends what is to be seen', async () => {
  await scene.sql(`SELECT workflow_define('{ref: shop.ask, label: Ask, version: 1.0.0, tasks: [{name: a, wait_for: {signal: yes}}]}')`);
  for (const [typed, sent] of [[undefined, {}], ['', null], ['[1]', [1]]]) {
    const id = await scene.start('shop.ask', {});
    await go(`/approvals?execution=${id}`);
    await Promise.all([page.waitForNavigation(), page.locator('#waits tbody a').first().click()]);
    assert.match(await text('#answer'), /Left empty, it is null/);
    if (typed !== undefined) await page.getByLabel('Value (JSON)').fill(typed);
    assert.match(await press(page.getByRole('button', { name: 'Send the answer' })), /was answered/);
    const [{ result }] = await scene.sql('SELECT result FROM workflow_list_tasks($1)', [id]);
    assert.deepEqual(result, sent);
  }
});

await test('an approval that is refused is said to have failed', async () => {
  const id = await scene.start('shop.ask', {}, { tenant: 't9' });
  await go(`/approvals?execution=${id}`);
  assert.match(await text('#waits'), /Ask[\s\S]*attributes {"tenant":"t9"}[\s\S]*none/);
  await Promise.all([page.waitForNavigation(), page.locator('#waits tbody a').first().click()]);
  asked.length = 0;
  await page.getByRole('button', { name: 'Let it fail' }).click();
  assert.deepEqual(asked, [], 'the form is checked first');
  await page.getByLabel('Why').fill('too expensive');
  assert.match(await press(page.getByRole('button', { name: 'Let it fail' })), /^yes of execution \d+ was refused: task a has failed$/);
  assert.deepEqual(asked, ['Let the task fail?']);
});

await test('an action that no worker serves is pointed out everywhere', async () => {
  await scene.sql(`SELECT workflow_register_action('shop.do_lonely')`);
  await scene.sql(`SELECT workflow_define('{ref: shop.lonely, label: Lonely, version: 1.0.0, tasks: [{name: a, action: shop.do_lonely}]}')`);
  await scene.sql(`SELECT set_config('pg_workflow.test_now', (now() - interval '1 minute')::text, false)`);
  const id = await scene.start('shop.lonely', {});
  await scene.sql('RESET pg_workflow.test_now');
  await go('/');
  assert.match(await text('#tiles'), /without a worker/);
  const row = page.locator('#queues tr', { hasText: 'shop.do_lonely' });
  assert.match(await row.innerText(), /no worker serves this action[\s\S]*none of its recent tasks was claimed/);
  await Promise.all([page.waitForNavigation(), row.getByRole('link').first().click()]);
  assert.match(await text('#waiting'), new RegExp(`a\\s+${id}`));
  await picture('waiting');
  await go('/check');
  assert.match(await text('main'), /shop\.do_lonely: no worker serves this action\. 1 task waits/);
  assert.doesNotMatch(await text('main'), /Nothing is overdue/);
  // What is held waits for the hold, not for a worker.
  await scene.sql(`SELECT workflow_hold('shop.do_lonely', NULL, now() + interval '1 hour', 'later', 'action')`);
  await go('/check');
  assert.doesNotMatch(await text('main'), /shop\.do_lonely/);
  await go('/work');
  assert.match(await page.locator('#queues tr', { hasText: 'shop.do_lonely' }).innerText(), /held/);
  await scene.sql(`SELECT workflow_release('shop.do_lonely', target => 'action')`);
  await scene.sql('SELECT workflow_cancel($1)', [id]);
});

await test('a bulk job that nobody does is overdue', async () => {
  await scene.sql(`SELECT set_config('pg_workflow.test_now', (now() - interval '5 minutes')::text, false)`);
  await scene.sql(`SELECT workflow_apply('pause', '{"workflow": "shop.house"}')`);
  await scene.sql('RESET pg_workflow.test_now');
  await go('/');
  assert.match(await text('#overdue'), /bulk_job/);
  assert.match(await press(page.locator('#overdue').getByRole('button', { name: 'Tick now' })), /tick: \d+ things/);
  await page.locator('#overdue', { hasText: 'bulk_job' }).waitFor({ state: 'detached' });
  // A card appears, and the result of the action is still shown.
  await scene.sql(`SELECT workflow_hold('shop.mail', NULL, now() + interval '1 hour', 'a card that was not there', 'action')`);
  await page.locator('#held', { hasText: 'a card that was not there' }).waitFor();
  assert.match(await notice(), /tick: \d+ things/);
  await scene.sql(`SELECT workflow_release('shop.mail', target => 'action')`);
  await page.locator('#held', { hasText: 'a card that was not there' }).waitFor({ state: 'detached' });
});

await test('items, retries and undo are told apart on the timeline', async () => {
  const id = await scene.start('shop.order', { order: 4, items: [1, 13] });
  scene.failing = true;
  await scene.work('worker-1', ['shop.reserve', 'shop.charge', 'shop.pack']);
  scene.failing = false;
  const again = await scene.start('shop.order', { order: 4, items: [1, 2] });
  await scene.work('worker-1', ['shop.reserve', 'shop.charge', 'shop.pack']);
  await scene.sql(`SELECT workflow_fail(task, lease_token, '{"type": "away", "message": "the van is away"}')
    FROM workflow_claim('worker-1', 1000, '{shop.ship}') WHERE execution = $1`, [again]);
  await scene.sql(`SELECT set_config('pg_workflow.test_now', (now() + interval '5 seconds')::text, false)`);
  await scene.sql('SELECT workflow_tick()');
  await scene.sql('RESET pg_workflow.test_now');
  await go(`/executions/${id}`);
  assert.match(await text('#timeline'), /pack ×2[\s\S]*1 failed/);
  await go(`/executions/${again}`);
  assert.match(await text('#timeline'), /↻ 1/);
  await scene.sql(`SELECT workflow_cancel($1)`, [again]);
  await scene.work('worker-1', ['shop.release']);
  await page.locator('#timeline', { hasText: '↶ reserve' }).waitFor();
  await page.locator('#head .s-cancelled').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Rerun' }).count(), 0, 'what was undone cannot be rerun');
  await picture('timeline');
});

await test('schedules are paused and resumed', async () => {
  await go('/schedules');
  await picture('schedules');
  assert.match(await press(page.getByRole('button', { name: 'Pause' })), /pause: schedule nightly/);
  assert.match(await press(page.getByRole('button', { name: 'Resume' })), /resume: schedule nightly/);
});

await test('a definition has versions that can be compared, and is started', async () => {
  await go('/definitions');
  await picture('definitions');
  await go('/definitions/shop.order');
  assert.match(await text('#diff ins >> nth=0'), /1\.1\.0/);
  await picture('definition');
  await page.getByLabel('Parameters (JSON)').fill('{"order": 1000000}');
  assert.match(await press(page.getByRole('button', { name: 'Start' })), /has started/);
});

await test('a draft is judged as it is typed, tested and stored', async () => {
  await go('/draft');
  await page.getByLabel('Definition').fill('ref: shop.draft\nlabel: D\nversion: 1.0.0\ntasks:\n  - {name: a, action: shop.mail, on_succes: b}\n');
  await page.locator('#findings', { hasText: 'did you mean' }).waitFor();
  await page.locator('#findings button[data-line]').first().click();
  const source = 'ref: shop.draft\nlabel: D\nversion: 1.0.0\ntasks:\n  - {name: a, action: shop.mail, on_success: b, on_failure: c}\n  - {name: b, action: shop.mail}\n  - {name: c, action: shop.mail}\n';
  await page.getByLabel('Definition').fill(source);
  await page.locator('#findings', { hasText: 'There are no findings' }).waitFor();
  await page.locator('#tests-of-draft summary').click();
  await page.getByLabel('Tests (YAML)').fill('tests:\n  - name: it goes well\n    answers: {a: {result: 1}, b: {result: 1}}\n    expect: {status: completed, ran: [a, b]}\n');
  await page.locator('#results', { hasText: 'passed it goes well' }).waitFor();
  assert.match(await text('#results'), /\d+ % of tasks and transitions/);
  await picture('draft');
  assert.match(await press(page.getByRole('button', { name: 'Define it' })), /shop\.draft 1\.0\.0 is the current version/);
});

await test('queues, workers and health are shown', async () => {
  await go('/work');
  assert.match(await text('#claims'), /worker-3/);
  await picture('work');
  await go('/check?deep');
  assert.match(await text('main'), /No invariant is broken/);
  await picture('health');
});

await test('a called execution opens in place', async () => {
  await go(`/executions/${scene.house}`);
  await Promise.all([page.waitForNavigation(), page.getByRole('link', { name: 'open its graph here' }).click()]);
  assert.equal(await page.locator('#called svg').count(), 1);
  await picture('called');
});

await test('what does not exist is said to be missing', async () => {
  for (const [path, status] of [['/executions/999999', 404], ['/executions/9223372036854775807', 404], ['/executions/x', 404], ['/definitions/none.such', 404], ['/nowhere', 404], ['/executions/-1', 404], [`/executions/${order}/tasks/1`, 404]]) {
    const answer = await go(path);
    assert.equal(answer.status(), status, path);
  }
});

await test('a large result is cut, and can be downloaded', async () => {
  const id = await scene.start('shop.hostile', {});
  await scene.sql(`SELECT workflow_signal($1, $2, jsonb_build_object('text', repeat('ab', 2500000)))`, [id, HOSTILE]);
  const [{ task }] = await scene.sql('SELECT task::text FROM workflow_list_tasks($1)', [id]);
  const begun = Date.now();
  await go(`/executions/${id}`);
  await go(`/executions/${id}/tasks/${task}`);
  assert.ok((await page.content()).length < 100_000);
  assert.ok(Date.now() - begun < 5000, `it takes ${Date.now() - begun} ms`);
  const answer = await context.request.get(`${CONSOLE}/executions/${id}/tasks/${task}/data/result`);
  assert.ok((await answer.body()).length > 5_000_000);
  const [{ id: large }] = await scene.sql(`SELECT workflow_start('shop.order', jsonb_build_object('order', 1, 'card',
    (SELECT jsonb_build_object('text', string_agg(md5(n::text), '')) FROM generate_series(1, 150000) AS n)))::text AS id`);
  await go(`/executions/${large}`);
  assert.ok((await page.content()).length < 200_000);
  assert.match(await text('#data'), /It has \d+ kB/);
});

await test('narrow windows need no sideways scrolling', async () => {
  await page.setViewportSize({ width: 400, height: 800 });
  for (const path of ['/', '/executions', `/executions/${order}`, '/draft']) {
    await go(path);
    const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= seen, `${path}: ${wide} of ${seen}`);
  }
  await page.setViewportSize({ width: 500, height: 900 });
  const ends = (locator) => locator.evaluate((element) => element.getBoundingClientRect().right);
  await scene.start('shop.once', {});
  await scene.sql(`SELECT workflow_fail(task, lease_token, jsonb_build_object('type', 'long', 'message', repeat('a long message, ', 40)))
    FROM workflow_claim('worker-1', 1, '{shop.do_once}')`);
  await go('/');
  assert.ok((await ends(page.getByRole('link', { name: 'Act on all' }).first())) <= 500);
  assert.ok((await ends(page.locator('#causes td.wide').first())) <= 500);
  await go('/executions');
  for (const height of await page.locator('#found tbody tr').evaluateAll((rows) => rows.map((row) => row.clientHeight - row.lastElementChild.clientHeight))) assert.ok(height < 120, `${height}`);
  await go(`/executions/${order}`);
  assert.ok((await ends(page.locator('.timeline svg').first())) <= 500);
  assert.ok(await page.locator('.timeline .name').first().evaluate((name) => parseFloat(getComputedStyle(name).fontSize)) >= 12);
  await page.locator('#timeline').scrollIntoViewIfNeeded();
  await picture('narrow-execution');
  await go('/');
  await page.locator('#causes').scrollIntoViewIfNeeded();
  await picture('narrow');
  await page.setViewportSize({ width: 1360, height: 900 });
});

await test('all of it can be done with the keyboard', async () => {
  await go('/');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
});

await test('a read-only console shows everything and changes nothing', async () => {
  await go(`/executions/${order}`, READER);
  assert.equal(await page.locator('main form[method=post]').count(), 0);
  const csrf = '';
  const answer = await context.request.post(`${READER}/executions/${order}/pause`, { form: { csrf }, maxRedirects: 0 });
  assert.equal(answer.status(), 403);
});

await test('a role that may only read sees everything and is refused the rest', async () => {
  await go('/', ROLE);
  assert.match(await text('#rates'), /started/);
  await go(`/executions/${scene.hostile}`, ROLE);
  assert.match(await press(page.getByRole('button', { name: 'Pause' })), /permission denied/);
  assert.match(await text('#head'), /running/);
});

await test('what another site sends is refused', async () => {
  const post = (form, headers) => context.request.post(`${CONSOLE}/executions/${order}/pause`, { form, headers, maxRedirects: 0 });
  assert.equal((await post({})).status(), 403);
  assert.equal((await post({ csrf: 'a'.repeat(64) })).status(), 403);
  await go(`/executions/${order}`);
  const csrf = await page.locator('input[name=csrf]').first().inputValue();
  assert.equal((await post({ csrf }, { Origin: 'http://evil.example' })).status(), 403);
  assert.equal((await post({ csrf })).status(), 303);
  const headers = (await go('/')).headers();
  assert.match(headers['content-security-policy'], /default-src 'none'; script-src 'self'/);
  assert.equal((await context.request.get(CONSOLE, { headers: { Host: 'evil.example' } })).status(), 403);
});

await test('a token is asked for, and the person is recorded', async () => {
  assert.equal((await context.request.get(`${GUARDED}/executions`, { maxRedirects: 0 })).status(), 303);
  await go('/', GUARDED);
  await picture('sign-in');
  await page.getByLabel('Your name').fill('Jürgen <b>');
  await page.getByLabel('Token').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator('[role=alert]').waitFor();
  await page.getByLabel('Your name').fill('Jürgen <b>');
  await page.getByLabel('Token').fill(TOKEN);
  await Promise.all([page.waitForNavigation(), page.getByRole('button', { name: 'Sign in' }).click()]);
  assert.match(await text('.person'), /Jürgen <b>/);
  const id = await scene.start('shop.hostile', {});
  await go(`/executions/${id}`, GUARDED);
  await press(page.getByRole('button', { name: 'Pause' }));
  assert.match((await events(id, 'pause'))[0].author, /^Jürgen <b> \(role /);
  await Promise.all([page.waitForNavigation(), page.getByRole('button', { name: 'Sign out' }).click()]);
  assert.match(page.url(), /sign-in/);
});

await test('while the database is away the page says so, and comes back', async () => {
  await go('/work');
  const name = db.database;
  const admin = new pg.Client(DATABASE_URL.replace(`/${name}`, '/postgres'));
  await admin.connect();
  await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  await admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'pg-workflow'`, [name]);
  await page.locator('#away:not([hidden])').waitFor({ timeout: 60000 });
  await admin.query(`ALTER DATABASE ${name} ALLOW_CONNECTIONS true`);
  await page.locator('#away').waitFor({ state: 'hidden', timeout: 60000 });
  await admin.end();
});

await browser.close();
await db.end();
console.log(failed ? `${failed} failed` : 'all passed');
process.exit(failed ? 1 : 0);
