// pg_workflow, to which a job is a workflow of one task.
import { enqueue, work } from './exchange.mjs';
import { drive } from './protocol.mjs';

await drive({ enqueue, work });
