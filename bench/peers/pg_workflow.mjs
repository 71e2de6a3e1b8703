// pg_workflow, with each job a workflow of one task.
import { enqueue, work } from './exchange.mjs';
import { drive } from './protocol.mjs';

await drive({ enqueue, work });
