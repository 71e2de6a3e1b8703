// A night as an operator may meet it: most orders run or are done, a tenth has failed for two reasons, a worker is gone, an
// approval is late. Times are those of the server.

export const HOSTILE = `<script>document.title='owned'</script><img src=x onerror="document.title='owned'">"'&`;

export const ACTIONS = ['shop.reserve', 'shop.charge', 'shop.pack', 'shop.ship', 'shop.release', 'shop.mail'];

const ORDER = `
ref: shop.order
label: An order, from the card to the parcel
version: 1.0.0
tags: [sales]
undo_on: [cancelled]
parameters:
  type: object
  required: [order]
  properties:
    order: {type: integer}
    card: {type: object}
    items: {type: array, default: [1, 2, 3]}
    approve: {type: boolean, default: false}
tasks:
  - name: reserve
    action: shop.reserve
    input: {order: "{{ parameters.order }}"}
    undo: {action: shop.release, input: {order: "{{ parameters.order }}"}}
    on_success: charge
  - name: charge
    action: shop.charge
    input: {order: "{{ parameters.order }}", card: "{{ parameters.card | default(none) }}"}
    next:
      - {when: "{{ succeeded() and parameters.approve }}", do: approve}
      - {when: "{{ succeeded() and not parameters.approve }}", do: pack}
  - name: approve
    wait_for:
      signal: approved
      timeout: 1h
      schema:
        type: object
        required: [ok]
        properties:
          ok: {type: boolean, title: Ship it}
          level: {enum: [standard, express], default: standard}
          note: {type: string}
          discount: {type: number, minimum: 0}
    input: {question: "Ship order {{ parameters.order }}?", pin: "pin-1234"}
    on_success: pack
  - name: pack
    action: shop.pack
    with_items: {items: "{{ parameters.items }}", on_item_failure: continue}
    input: {item: "{{ item }}"}
    on_success: ship
  - {name: ship, action: shop.ship, input: {order: "{{ parameters.order }}"}, retry: {count: 2, delay: 1}, on_success: tell}
  - {name: tell, action: shop.mail, input: {order: "{{ parameters.order }}"}}
`;

const HOUSE = `
ref: shop.house
label: A house of orders
version: 1.0.0
tasks:
  - {name: first, action: shop.order, input: {order: 1}, on_success: second}
  - {name: second, action: shop.mail}
`;

// The outcome of a task; while workers fail, some tasks fail for one reason and some for another.
export function outcome({ task, lease_token, task_name, input }, failing) {
  const fail = (type, message) => ({ task, lease_token, status: 'failed', error: { type, message }, may_retry: false });
  if (failing && task_name === 'charge' && input.order % 20 === 7) return fail('declined', 'the bank declines the card');
  if (failing && task_name === 'pack' && input.item === 13) return fail('out_of_stock', 'nothing is left of item 13');
  if (task_name === 'pack' && input.item === 666) return fail('hostile', HOSTILE);
  return { task, lease_token, status: 'completed', result: { ok: true } };
}

export class Scene {
  constructor(db) {
    this.db = db;
    this.failing = true;
  }

  async sql(text, values) {
    return (await this.db.query(text, values)).rows;
  }

  async start(ref, parameters, attributes = null) {
    return (await this.sql('SELECT workflow_start($1, $2, attributes => $3)::text AS id', [ref, parameters, attributes]))[0].id;
  }

  // Executes tasks as a worker would, until there are none.
  async work(worker, actions, most = 1000, rounds = 1000) {
    let outcomes = [];
    for (let round = 0; round < rounds; round++) {
      const [{ said }] = await this.sql('SELECT workflow_finish_and_claim_json($1, $2, $3, $4) AS said',
        [worker, JSON.stringify(outcomes), most, actions]);
      outcomes = said.tasks.map((task) => outcome(task, this.failing));
      if (!outcomes.length) return;
    }
    await this.sql('SELECT workflow_finish_json($1)', [JSON.stringify(outcomes)]);
  }

  // Actions and workflows.
  async define() {
    for (const action of ACTIONS) await this.sql('SELECT workflow_register_action($1)', [action]);
    await this.sql('SELECT workflow_define($1)', [ORDER]);
    await this.sql('SELECT workflow_define($1)', [ORDER.replace('1.0.0', '1.1.0').replace('timeout: 1h', 'timeout: 2h')]);
    await this.sql('SELECT workflow_define($1)', [HOUSE]);
    await this.sql('SELECT workflow_define($1)', [`ref: shop.hostile\nlabel: ${JSON.stringify(HOSTILE)}\nversion: 1.0.0\ntasks: [{name: a, wait_for: {signal: ${JSON.stringify(HOSTILE)}}, input: {text: ${JSON.stringify(HOSTILE)}}}]\n`]);
  }

  // An approval that was requested long ago: its time limit has nearly elapsed.
  async ask() {
    await this.sql(`SELECT set_config('pg_workflow.test_now', (now() - interval '100 minutes')::text, false)`);
    this.late = await this.start('shop.order', { order: 1, approve: true });
    await this.work('worker-1', ACTIONS);
    await this.sql('RESET pg_workflow.test_now');
  }

  // Out of twenty, one will be declined, and one will be out of stock.
  async orders(count) {
    await this.sql(`SELECT workflow_start_many('shop.order',
      array_agg(jsonb_build_object('order', n, 'items', CASE WHEN n % 20 = 3 THEN '[1, 13]' ELSE '[1, 2]' END::jsonb, 'card', '{"number": "4111-2222"}'::jsonb)),
      attributes => array_agg(jsonb_build_object('tenant', 't' || n % 5)))
      FROM generate_series(2, $1::int) AS n`, [count]);
  }

  async set(count) {
    await this.define();
    await this.sql(`SELECT workflow_set_limit('bank', 5)`);
    await this.sql(`SELECT workflow_schedule('nightly', '0 3 * * *', 'shop.house')`);
    await this.ask();
    await this.start('shop.order', { order: 2, items: [1, 666] });
    await this.orders(count);
    this.hostile = await this.start('shop.hostile', {});
    await this.work('worker-1', ACTIONS);
    this.house = await this.start('shop.house', {});
    await this.sql(`SELECT workflow_start_many('shop.order', array_agg(jsonb_build_object('order', n * 20))) FROM generate_series(1, 40) AS n`);
    await this.work('worker-2', ['shop.reserve'], 1000, 1);
    // It claims tasks and disappears.
    await this.sql(`SELECT workflow_claim('worker-gone', 8, lease => '1 second')`);
    await this.sql(`SELECT workflow_claim('worker-3', 3, lease => '1 hour')`);
    await this.sql(`SELECT workflow_hold('shop.ship', NULL, now() + interval '2 hours', 'the parcel service is away', 'action')`);
  }
}
