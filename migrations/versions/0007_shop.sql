-- What a data set has in stock, what was received and what was ordered. A receipt and an order are recorded once:
-- for a key, for the execution, and for what the paper says it is (the …_key columns are made by definitions.shop.identity).
-- Stock is what lies there: orders take nothing from it, so it is never negative.
ALTER TABLE products ADD COLUMN stock bigint NOT NULL DEFAULT 0;
ALTER TABLE products ADD CONSTRAINT products_stock_check CHECK (stock >= 0);
COMMENT ON COLUMN products.stock IS 'the sum of its stock_movements';

CREATE TABLE receipts (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    data_set_id BIGINT NOT NULL,
    execution_id BIGINT,
    idempotency_key TEXT NOT NULL,
    supplier TEXT NOT NULL,
    supplier_key TEXT NOT NULL,
    number TEXT NOT NULL,
    number_key TEXT NOT NULL,
    issued_on DATE NOT NULL,
    currency TEXT NOT NULL,
    total NUMERIC NOT NULL,
    details JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT receipts_pkey PRIMARY KEY (id),
    CONSTRAINT receipts_data_set_id_fkey FOREIGN KEY(data_set_id) REFERENCES data_sets (id),
    CONSTRAINT receipts_execution_id_fkey FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE SET NULL,
    CONSTRAINT receipts_execution_id_key UNIQUE (execution_id),
    CONSTRAINT receipts_data_set_id_idempotency_key_key UNIQUE (data_set_id, idempotency_key),
    CONSTRAINT receipts_invoice_key UNIQUE (data_set_id, supplier_key, number_key),
    CONSTRAINT receipts_paper_key UNIQUE (data_set_id, number_key, issued_on, currency, total)
);

CREATE INDEX receipts_data_set_id_idx ON receipts (data_set_id, id DESC);

CREATE TABLE stock_movements (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    data_set_id BIGINT NOT NULL,
    sku TEXT NOT NULL,
    delta BIGINT NOT NULL CONSTRAINT stock_movements_delta_check CHECK (delta <> 0),
    reason TEXT NOT NULL CONSTRAINT stock_movements_reason_check CHECK (reason IN ('receipt')),
    receipt_id BIGINT NOT NULL,
    line INTEGER NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    unit_price NUMERIC NOT NULL,
    amount NUMERIC NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT stock_movements_pkey PRIMARY KEY (id),
    CONSTRAINT stock_movements_receipt_id_line_key UNIQUE (receipt_id, line),
    CONSTRAINT stock_movements_receipt_id_fkey FOREIGN KEY(receipt_id) REFERENCES receipts (id),
    CONSTRAINT stock_movements_data_set_id_sku_fkey FOREIGN KEY(data_set_id, sku) REFERENCES products (data_set_id, sku)
);

CREATE INDEX stock_movements_data_set_id_sku_idx ON stock_movements (data_set_id, sku);

COMMENT ON COLUMN stock_movements.line IS '1, 2, … within the receipt';

CREATE TABLE orders (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    data_set_id BIGINT NOT NULL,
    execution_id BIGINT,
    idempotency_key TEXT NOT NULL,
    buyer TEXT NOT NULL,
    buyer_key TEXT NOT NULL,
    reference TEXT DEFAULT '' NOT NULL,
    reference_key TEXT DEFAULT '' NOT NULL,
    currency TEXT,
    requested_on DATE,
    details JSONB DEFAULT '{}'::jsonb NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (id),
    CONSTRAINT orders_data_set_id_fkey FOREIGN KEY(data_set_id) REFERENCES data_sets (id),
    CONSTRAINT orders_execution_id_fkey FOREIGN KEY(execution_id) REFERENCES executions (id) ON DELETE SET NULL,
    CONSTRAINT orders_execution_id_key UNIQUE (execution_id),
    CONSTRAINT orders_data_set_id_idempotency_key_key UNIQUE (data_set_id, idempotency_key)
);

CREATE UNIQUE INDEX orders_reference_key ON orders (data_set_id, buyer_key, reference_key) WHERE reference_key <> '';

CREATE INDEX orders_data_set_id_idx ON orders (data_set_id, id DESC);

COMMENT ON COLUMN orders.id IS 'the order''s number';

COMMENT ON COLUMN orders.reference IS 'the buyer''s own number of it';

CREATE TABLE order_lines (
    order_id BIGINT NOT NULL,
    line INTEGER NOT NULL,
    data_set_id BIGINT NOT NULL,
    sku TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    quantity BIGINT NOT NULL CONSTRAINT order_lines_quantity_check CHECK (quantity > 0),
    unit_price NUMERIC,
    CONSTRAINT order_lines_pkey PRIMARY KEY (order_id, line),
    CONSTRAINT order_lines_order_id_fkey FOREIGN KEY(order_id) REFERENCES orders (id) ON DELETE CASCADE,
    CONSTRAINT order_lines_data_set_id_sku_fkey FOREIGN KEY(data_set_id, sku) REFERENCES products (data_set_id, sku)
);

CREATE INDEX order_lines_data_set_id_sku_idx ON order_lines (data_set_id, sku);

COMMENT ON COLUMN order_lines.line IS '1, 2, … within the order';
